// Proves that Helm takes over a stack of Pulumi with its data and passwords, and that `up` refuses to take one over from
// Helm before it changes anything.
// Does not prove components without data.
// Exercises: postgresql, redis, minio, nessie, charts, render/chart.
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { presentEngine } from "../../cli/engine.ts";
import { stateDir } from "../../config/paths.ts";
import { kubeconfigPath } from "../../local/cluster/index.ts";
import { helm as helmBinary } from "../unit/helm.ts";
import {
  core,
  deleteNamespaces,
  fileOfComponents,
  get,
  kube,
  mustRun,
  platform,
  query,
  roomFor,
  secret,
  unready,
} from "./kit.ts";

const chart = "charts/data-platform";
const without = ["noetl", "polls", "webApp", "deployd"].flatMap((key) => ["--set", `${key}.enabled=false`]);
const file = fileOfComponents(
  Object.fromEntries(["postgresql", "redis", "minio", "nessie"].map((key) => [key, { enabled: true }])),
);

/** Helm waits for the set-up Jobs of its own version too, which run again. */
const waiting = ["--wait", "--wait-for-jobs", "--timeout", "10m"];

/** Runs Helm on the cluster. Fails with its output. */
async function helm(...args: string[]): Promise<void> {
  const all = [...args, "--kubeconfig", kubeconfigPath(), "--namespace", "platform"];
  const { exitCode, all: printed } = await execa(await helmBinary(), all, { all: true, reject: false });
  if (exitCode !== 0) throw new Error(`helm ${args.join(" ")} ended with ${exitCode}:\n${printed}`);
}

/** The data of the Secrets, and the identity of the volumes. */
async function kept() {
  const secrets = await kube().list("v1", "Secret", core);
  const claims = await kube().list("v1", "PersistentVolumeClaim", core);
  return {
    secrets: Object.fromEntries(secrets.map((one) => [one.metadata.name, (one as { data?: unknown }).data])),
    claims: claims.map(({ metadata }) => `${metadata.name} ${metadata.uid}`).sort(),
  };
}

const words = async () =>
  query("postgres", (await secret("postgresql-admin")).password ?? "", "SELECT word FROM proof");

beforeAll(async () => {
  await roomFor("dev");
  await mustRun(["up", "--stack", "dev", "--config-file", file]);
  const { password = "" } = await secret("postgresql-admin");
  await query("postgres", password, "CREATE TABLE proof AS SELECT 'kept' AS word");
});

afterAll(async () => {
  await helm("uninstall", "dev", "--ignore-not-found", "--wait");
  await deleteNamespaces([core, "dev-apps", "platform"]);
});

it("Helm takes over a stack with its data and passwords", { timeout: 900_000 }, async () => {
  const before = await kept();
  const values = ["--values", `${chart}/values-dev.yaml`, ...without, "--create-namespace"];
  await helm("install", "dev", chart, ...values, "--take-ownership", "--force-conflicts", ...waiting);
  expect(await kept()).toEqual(before);
  expect(await words()).toEqual([{ word: "kept" }]);
  expect(await unready(core)).toEqual([]);

  // As docs/helm.md says: the stack leaves Pulumi's state, without its objects.
  const folder = join(stateDir(), "pulumi");
  const { environment } = await presentEngine();
  const env = {
    ...environment,
    PULUMI_BACKEND_URL: `file://${folder}`,
    PULUMI_CONFIG_PASSPHRASE_FILE: join(folder, "passphrase"),
  };
  await execa("pulumi", ["stack", "rm", "dev", "--force", "--yes", "--preserve-config"], { env });
  expect(await kept()).toEqual(before);
});

it("up does not take over what Helm has", async () => {
  const before = await kept();
  const { exitCode, all } = await platform(["up", "--stack", "dev", "--config-file", file]);
  expect(exitCode).not.toBe(0);
  expect(all).toContain("found in the cluster, and this stack did not make it");
  expect(await kept()).toEqual(before);
  expect(await get("Namespace", core)).toBeDefined();
});
