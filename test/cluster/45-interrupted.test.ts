// Proves that `up` and `destroy` recover from ^C and from killed processes at random moments: passwords stay the same,
// the state has no pending operation, and `destroy` leaves nothing. The seed is printed.
// Does not prove the loss of writes that were not yet synced to disk.
// Exercises: postgresql, redis.
import { createHash, randomInt } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CoreV1Api } from "@kubernetes/client-node";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { stateDir } from "../../config/paths.ts";
import {
  core,
  fileOfComponents,
  get,
  interrupted,
  kube,
  kubeConfig,
  mustRun,
  platform,
  query,
  roomFor,
  secret,
  unchanged,
  unready,
} from "./kit.ts";

/** How often each of the two signals interrupts an `up` and a `destroy`. */
const rounds = Number(process.env.TEST_INTERRUPTIONS ?? 3);
const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));

/** A random number from 0 to 1, reproducible by the seed. */
const chance = (what: string) => createHash("sha256").update(`${seed} ${what}`).digest().readUInt32BE() / 2 ** 32;

const file = fileOfComponents({ postgresql: { databases: ["sales"] }, redis: {} });
const up = ["up", "--stack", "dev", "--config-file", file];
const destroy = ["destroy", "--stack", "dev", "--config-file", file];

interface Operation {
  type: string;
  resource: { urn: string };
}

/** The stack's state; undefined if Pulumi has none. */
function state(): { resources?: { urn: string }[]; pending_operations?: Operation[] } | undefined {
  const path = join(stateDir(), "pulumi/.pulumi/stacks/data-platform/dev.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).checkpoint.latest : undefined;
}

/** Pulumi's pending operations. */
const pending = () => (state()?.pending_operations ?? []).map(({ type, resource }) => `${type} ${resource.urn}`);

/** The data of the stack's Secrets that exist. */
const secrets = async (): Promise<Record<string, unknown>> =>
  Object.fromEntries(
    (await kube().list("v1", "Secret", core)).map((one) => [one.metadata.name, (one as { data?: unknown }).data]),
  );

/** The PersistentVolumes of the stack. */
async function volumes(): Promise<(string | undefined)[]> {
  const { items } = await kubeConfig().makeApiClient(CoreV1Api).listPersistentVolume();
  return items.filter(({ spec }) => spec?.claimRef?.namespace === core).map(({ metadata }) => metadata?.name);
}

/** Runs a command again. If it reports that the interrupted one's engine is still at work, waits for that to end. */
async function again(args: string[]): Promise<string> {
  const { exitCode, all } = await vi.waitFor(
    async () => {
      const result = await platform(args);
      if (/is still at work/.test(String(result.all))) throw new Error(String(result.all));
      return result;
    },
    { timeout: 240_000, interval: 1_000 },
  );
  if (exitCode !== 0) throw new Error(`./platform ${args.join(" ")} ended with ${exitCode}:\n${all}`);
  return String(all);
}

/** Runs `destroy`. Nothing of the stack may be left. */
async function destroyed(): Promise<void> {
  await again(destroy);
  expect(await get("Namespace", core)).toBeUndefined();
  // The provisioner deletes a volume shortly after its claim.
  await vi.waitFor(async () => expect(await volumes()).toEqual([]), { timeout: 60_000, interval: 500 });
  expect(pending()).toEqual([]);
  expect((state()?.resources ?? []).map(({ urn }) => urn)).toEqual([]);
}

const timed = async (run: () => Promise<unknown>): Promise<number> => {
  const began = Date.now();
  await run();
  return Date.now() - began;
};

/** Duration of each command without an interruption, in milliseconds. */
const length = { up: 0, destroy: 0 };

beforeAll(async () => {
  await roomFor(undefined);
  // The first has images to pull.
  await mustRun(up);
  await mustRun(destroy);
  length.up = await timed(() => mustRun(up));
  length.destroy = await timed(() => mustRun(destroy));
  console.log(`seed ${seed}; up takes ${length.up} ms, destroy ${length.destroy} ms`);
});

describe("killed while it waits for StatefulSets", () => {
  beforeEach(async () => {
    const created = async () => (await kube().list("apps/v1", "StatefulSet", core)).length === 2;
    const { endedBy } = await interrupted(up, "SIGKILL", created, true);
    expect(endedBy).toBe("SIGKILL");
    expect(pending()).toEqual(expect.arrayContaining([expect.stringMatching(/^creating .*StatefulSet::redis$/)]));
  });

  it("up is completed by the next", async () => {
    await again(up);
    expect(await unready(core)).toEqual([]);
    expect(pending()).toEqual([]);
    expect(await mustRun(up)).toMatch(unchanged);
    await destroyed();
  });

  it("destroy deletes what no state knows", destroyed);
});

const ways = [
  ["SIGINT", false],
  ["SIGKILL", false],
  ["SIGKILL", true],
] as const;

describe.each(Array.from({ length: 2 * rounds }, (_, round) => [round] as const))("round %i", (round) => {
  // ^C every other time; the rest in turns.
  const [signal, all] = round % 2 === 0 ? ways[0] : ways[1 + (((round - 1) / 2) % 2)]!;
  const cutOff = async (command: "up" | "destroy", args: string[]) => {
    const moment = Math.round(chance(`${command} ${round}`) * length[command]);
    const { exitCode, endedBy, printed } = await interrupted(args, signal, moment, all);
    const how = `${signal}${all ? " to all its processes" : ""}`;
    console.log(`${command}: ${how} after ${moment} ms: ${endedBy ?? exitCode}: ${printed.trim().split("\n").at(-1)}`);
    // Success: it was quicker than the signal. Killed by the signal: its handler was not yet installed.
    if (exitCode !== 0 && endedBy !== signal) expect({ signal, exitCode }).toEqual({ signal: "SIGINT", exitCode: 130 });
  };

  it("up is completed by the next", async () => {
    await cutOff("up", up);
    const before = await secrets();
    await again(up);
    expect(await secrets()).toMatchObject(before);
    expect(await unready(core)).toEqual([]);
    expect(pending()).toEqual([]);
    const { password = "" } = await secret("postgresql-user-sales");
    expect(await query("sales", password, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    // After a kill of all processes, the hardest of the three: no operation is pending.
    if (all) expect(await mustRun(up)).toMatch(unchanged);
  });

  it("destroy is completed by the next", async () => {
    await cutOff("destroy", destroy);
    await destroyed();
  });
});
