// Proves that Helm takes over a stack of Pulumi with its data and passwords, and that `up` refuses to take one over from
// Helm before it changes anything.
// Does not prove components without data.
// Exercises: postgresql, redis, minio, nessie, charts, render/chart.
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { presentEngine } from "../../cli/engine.ts";
import { stateDir } from "../../config/paths.ts";
import { chart, helm, Release, waiting } from "./helm.ts";
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
} from "./kit.ts";

const without = ["noetl", "polls", "webApp", "deployd"].flatMap((key) => ["--set", `${key}.enabled=false`]);
const file = fileOfComponents(
  Object.fromEntries(["postgresql", "redis", "minio", "nessie"].map((key) => [key, { enabled: true }])),
);

const release = new Release([core]);

/** The data of the Secrets, and the identity of the volumes. */
async function kept() {
  const claims = await kube().list("v1", "PersistentVolumeClaim", core);
  return {
    secrets: await release.secrets(),
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
  // Helm waits for the set-up Jobs of its own version too, which run again.
  await helm("install", "dev", chart, ...values, "--take-ownership", "--force-conflicts", ...waiting("10m"));
  expect(await kept()).toEqual(before);
  expect(await words()).toEqual([{ word: "kept" }]);
  expect(await release.unready()).toEqual([]);

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
