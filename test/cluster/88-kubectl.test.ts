// Proves that kubectl applies what `./platform render` writes to an empty cluster in one go, with every component ready and
// clients answered; that a second time changes nothing; and that an ApplySet deletes what is no longer rendered.
// Does not prove the components that dev has not.
// Exercises: postgresql, redis, minio, nessie, noetl, noetl-nats, polls, web-app, deployd.
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { binary } from "../../local/cluster/binaries.ts";
import { kubeconfigPath } from "../../local/cluster/index.ts";
import {
  address,
  deleteNamespaces,
  get,
  kube,
  mustRun,
  podList,
  query,
  read,
  roomFor,
  s3,
  secret,
  stackFile,
  unready,
} from "./kit.ts";

const [core, apps] = ["dev-core", "dev-apps"];
const namespaces = [core, apps, "dev-deployed"];
const scratch = mkdtempSync(join(tmpdir(), "data-platform-kubectl-"));
const seed = join(scratch, "seed");
let program: string;

/** Runs kubectl on the cluster. Fails with its output. */
async function kubectl(...args: string[]): Promise<string> {
  const env = { KUBECTL_APPLYSET: "true", KUBECONFIG: kubeconfigPath() };
  const { exitCode, all } = await execa(program, args, { env, all: true, reject: false });
  if (exitCode !== 0) throw new Error(`kubectl ${args.join(" ")} ended with ${exitCode}:\n${all}`);
  return String(all);
}

/** The folder of the rendered objects. */
async function rendered(name: string, changes: string): Promise<string> {
  const folder = join(scratch, name);
  const file = stackFile("dev", changes);
  await mustRun([
    ...["render", "--stack", "dev", "--config-file", file, "--out", folder],
    ...["--secrets", "seeded", "--seed-file", seed],
  ]);
  return folder;
}

const leftUnready = async () => (await Promise.all(namespaces.map(unready))).flat();
const isReady = () =>
  vi.waitFor(async () => expect(await leftUnready()).toEqual([]), { timeout: 600_000, interval: 1_000 });
const uids = async () => (await podList(namespaces)).map(({ metadata }) => metadata.uid).sort();

let whole: string;

beforeAll(async () => {
  program = await binary("kubectl");
  await roomFor(undefined);
  writeFileSync(seed, randomBytes(32).toString("hex"));
  whole = await rendered("whole", "{}");
  await kubectl("apply", "--server-side", "--kustomize", whole);
  await isReady();
});

afterAll(async () => {
  await deleteNamespaces(namespaces);
});

it("answers clients with the rendered passwords", async () => {
  const { password = "" } = await secret("postgresql-admin", core);
  expect(await query("postgres", password, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  const keys = await secret("minio-platform", core);
  const client = await s3(keys["access-key"] ?? "", keys["secret-key"] ?? "");
  await client.putObject("warehouse", "proof", "kept");
  expect(await read(client, "warehouse", "proof")).toBe("kept");
  const health = await fetch(`http://${await address("app-dev-service-flask", apps)}:5000/healthz`);
  expect(health.status).toBe(200);
});

it("changes nothing the second time", async () => {
  const before = await uids();
  // It ends with 1 if there is a difference.
  await kubectl("diff", "--server-side", "--kustomize", whole);
  await kubectl("apply", "--server-side", "--kustomize", whole);
  expect(await uids()).toEqual(before);
});

it("deletes what is no longer rendered, and nothing else", async () => {
  // As docs/helm.md says: an ApplySet for each namespace.
  async function prune(folder: string): Promise<void> {
    for (const namespace of namespaces) {
      const files = readdirSync(folder).filter((name) => name.includes(`.${namespace}.`) && name.split(".").length > 3);
      await kubectl(
        ...["apply", "--server-side", "--prune", "--applyset=dev", "--namespace", namespace],
        ...files.flatMap((name) => ["--filename", join(folder, name)]),
      );
    }
  }
  await prune(whole);
  const all = await kube().list("apps/v1", "Deployment", apps);

  await prune(await rendered("without-polls", "polls: { enabled: false }"));
  await vi.waitFor(
    async () => {
      const left = await kube().list("apps/v1", "Deployment", apps);
      const names = (list: typeof all) => list.map(({ metadata }) => metadata.name);
      expect(names(left)).toEqual(names(all).filter((name) => name !== "polls"));
      expect(await get("Secret", "polls-admin", apps)).toBeUndefined();
    },
    { timeout: 120_000, interval: 500 },
  );
  expect(await get("PersistentVolumeClaim", "data-postgresql-0", core)).toBeDefined();
  await isReady();
});
