// Proves how an update by the Automation API ends for its user. A script replaces `pulumi` and writes its events.
// Does not prove what Pulumi does: the cluster tests do.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { Pulumi, UpdateFailed } from "../../cli/pulumi.ts";
import type { StackFile } from "../../render/stack.ts";

let folder: string;
let file: StackFile;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cli-pulumi-"));
  vi.stubEnv("PLATFORM_STATE", join(folder, "state"));
  vi.stubEnv("PULUMI_HOME", join(folder, "home"));
  for (const name of ["BACKEND_URL", "ACCESS_TOKEN"]) vi.stubEnv(`PULUMI_${name}`, undefined);
  vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
  const path = join(folder, "stack.yaml");
  writeFileSync(path, stringify({ config: {} }));
  file = { stack: "dev", project: "data-platform", path, config: {}, encrypted: [] };
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** A `pulumi` of a version that writes its events to a file, with what `commands` do in JavaScript. Records its calls. */
function pulumiThat(commands: Record<string, string>) {
  const script = `#!${process.execPath}
const { appendFileSync, writeFileSync } = require("node:fs");
const [command, sub, ...args] = process.argv.slice(2);
if (command !== "version") appendFileSync(${JSON.stringify(join(folder, "calls"))}, process.argv.slice(2).join(" ") + " " +
  (process.env.PULUMI_K8S_UPSERT_EXISTING_OBJECTS ?? "") + (process.env.PULUMI_SKIP_CHECKPOINTS ? "no checkpoints" : "") + "\\n");
const events = process.argv[process.argv.indexOf("--event-log") + 1];
const tell = (...all) => { for (const [sequence, event] of all.entries()) appendFileSync(events, JSON.stringify({ sequence, ...event }) + "\\n"); };
const fail = (text) => { process.stderr.write(text + "\\n"); process.exitCode = 255; };
const commands = {
  version: () => console.log("v3.200.0"),
  stack: () => sub === "history" ? console.log("[]") : sub === "output" && console.log("{}"),
  ${Object.entries(commands)
    .map(([name, body]) => `${name}: () => { ${body} }`)
    .join(",\n  ")}
};
commands[command]();
`;
  writeFileSync(join(folder, "pulumi"), script);
  chmodSync(join(folder, "pulumi"), 0o755);
}
const calls = () => readFileSync(join(folder, "calls"), "utf8").split("\n");

const urn = "urn:pulumi:dev::data-platform::kubernetes:core/v1:PersistentVolumeClaim::data-redis-0";
const claim = { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "data-redis-0", namespace: "dev" } };
const metadata = {
  op: "update",
  urn,
  type: "kubernetes:core/v1:PersistentVolumeClaim",
  new: { custom: true, inputs: claim },
};
const event = (body: object) => JSON.stringify(body);
const begun = event({ resourcePreEvent: { metadata } });
const error = (message: string, of?: string) =>
  event({ diagnosticEvent: { severity: "error", message, ...(of && { urn: of }) } });

const target = { cluster: "context", context: "mine", why: "" } as const;
const nothing = { resources: [], pending: [] };
const open = (state: Parameters<typeof Pulumi.open>[2]["state"] = nothing) => Pulumi.open(file, target, { state });
const say = () => {};

describe("an update", () => {
  it("refreshes first, and reports its changes", async () => {
    const summary = event({ summaryEvent: { resourceChanges: { update: 1, same: 3 } } });
    pulumiThat({ up: `tell(${begun}, ${event({ resOutputsEvent: { metadata } })}, ${summary})` });
    const progress = await (await open()).up(4, say);
    expect(progress.counts).toEqual({ update: 1, same: 3 });
    expect(progress.changes.map(({ title }) => title)).toEqual(["PersistentVolumeClaim dev/data-redis-0"]);
    expect(calls().find((call) => call.startsWith("up "))).toMatch(/ --refresh .*--stack dev/);
  });

  it("that fails names the resource, and omits the engine's summary", async () => {
    const failed = event({ resOpFailedEvent: { metadata, status: 0, steps: 0 } });
    pulumiThat({
      up: `tell(${begun}, ${error("no room", urn)}, ${failed}, ${error("update failed")}); fail("error: update failed")`,
    });
    const failure = await (await open()).up(4, say).catch((reason) => reason);
    expect(failure).toBeInstanceOf(UpdateFailed);
    expect(failure.message).toBe("pulumi up of stack dev failed:\nPersistentVolumeClaim dev/data-redis-0: no room");
    expect(failure.progress.failed).toEqual([claim]);
  });

  it("that fails before the first resource reports pulumi's message", async () => {
    pulumiThat({ up: 'fail("error: the backend is gone")' });
    await expect((await open()).up(4, say)).rejects.toMatchObject({
      name: "UserError",
      message: "pulumi up of stack dev failed:\nthe backend is gone",
    });
  });

  it("that the program refuses ends with its message, which names stack and key", async () => {
    const refusal = "stack dev: redis.storage.size: found 512Mi; expected at least 1Gi";
    const message = `Preview failed: before hook "data-redis-0-never-shrinks" failed: ${refusal}`;
    pulumiThat({
      preview: `tell(${begun}, ${error(message, urn)}, ${error("preview failed")}); fail("error: preview failed")`,
    });
    await expect((await open()).preview(4, say)).rejects.toMatchObject({ name: "ConfigError", message: refusal });
  });

  it("is refused while another one runs", async () => {
    pulumiThat({ up: 'fail("error: the stack is currently locked by 1 lock(s)")' });
    await expect((await open()).up(4, say)).rejects.toMatchObject({
      name: "UserError",
      message: "stack dev: another update of it is running; wait until it has ended",
    });
  });

  it("resolves the pending operations of a killed one, once", async () => {
    pulumiThat({ up: "", refresh: "" });
    await (await open()).up(4, say);
    const resource = { urn, type: "kubernetes:core/v1:PersistentVolumeClaim", custom: true };
    await (await open({ resources: [], pending: [{ type: "creating", resource }] })).up(4, say);
    const updates = calls().filter((call) => call.startsWith("up "));
    expect(updates.map((call) => call.endsWith(" true"))).toEqual([false, true]);
    // Later runs have nothing to resolve.
    expect(calls().filter((call) => call.startsWith("refresh "))).toEqual([
      expect.stringContaining(" --clear-pending-creates "),
    ]);
  });
});

it("a stack that cannot be opened is reported with the reason, without pulumi's command line", async () => {
  pulumiThat({ stack: 'fail("error: incorrect passphrase")' });
  await expect(open()).rejects.toMatchObject({ name: "UserError", message: "pulumi, stack dev: incorrect passphrase" });
});

it("an update and its preview leave excluded objects as they are", async () => {
  const summary = event({ summaryEvent: { resourceChanges: { same: 4 } } });
  pulumiThat({ up: "", preview: `tell(${summary})` });
  const pulumi = await open();
  await pulumi.preview(4, say, [urn]);
  await pulumi.up(4, say, [urn]);
  await pulumi.up(4, say);
  const updates = calls().filter((call) => /^(up|preview) /.test(call));
  expect(updates.map((call) => call.includes(`--exclude ${urn}`))).toEqual([true, true, false]);
});

it("only a preview saves no state after each resource", async () => {
  pulumiThat({ up: "", preview: `tell(${event({ summaryEvent: { resourceChanges: { same: 4 } } })})` });
  const pulumi = await open();
  await pulumi.preview(4, say);
  await pulumi.up(4, say);
  const updates = calls().filter((call) => /^(up|preview) /.test(call));
  expect(updates.map((call) => call.endsWith("no checkpoints"))).toEqual([true, false]);
});

it("is destroyed except for adopted objects, and removed from the backend", async () => {
  pulumiThat({ destroy: "" });
  const pulumi = await open();
  await pulumi.destroy(4, say, [urn]);
  await pulumi.forget();
  expect(calls().find((call) => call.startsWith("destroy "))).toContain(`--exclude ${urn}`);
  expect(calls().find((call) => call.startsWith("stack rm "))).toMatch(
    /--force.*--preserve-config|--preserve-config.*--force/,
  );
});
