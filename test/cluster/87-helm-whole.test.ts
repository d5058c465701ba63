// Proves that Helm installs the whole stack test from the chart, with every component ready and no container restarted,
// that `helm test` has an answer of each component, that an upgrade of one value rolls its component alone, and that an
// uninstall leaves nothing.
// Does not prove data and passwords over upgrades: test/cluster/87-helm.test.ts does, with the stack dev.
// Exercises: every component.
import { afterAll, beforeAll, expect, it } from "vitest";
import { chart, helm, Release, waiting } from "./helm.ts";
import { deleteNamespaces, get, roomFor } from "./kit.ts";

const namespaces = ["test-core", "test-apps", "test-deployed"];
const release = new Release(namespaces);

beforeAll(async () => {
  await roomFor(undefined);
  await helm(
    "install",
    "test",
    chart,
    "--values",
    `${chart}/values-test.yaml`,
    "--create-namespace",
    ...waiting("20m"),
  );
}, 1_300_000);

afterAll(async () => {
  await helm("uninstall", "test", "--ignore-not-found", "--wait");
  await deleteNamespaces([...namespaces, "platform"]);
});

it("every component is ready, and no container restarted", async () => {
  expect(await release.unready()).toEqual([]);
  expect(await release.restarts()).toEqual([]);
});

it("the record of the release is far from what a Secret may hold", async () => {
  const record = (await get("Secret", "sh.helm.release.v1.test.v1", "platform")) as { data?: { release?: string } };
  const size = Buffer.from(record.data?.release ?? "", "base64").length;
  console.log(`the record of the release has ${size} bytes`);
  expect(size).toBeGreaterThan(0);
  // A Secret holds 1 MiB, https://kubernetes.io/docs/concepts/configuration/secret/: leave an operator's values a quarter.
  expect(size).toBeLessThan(768 * 1024);
});

it("helm test passes", { timeout: 900_000 }, async () => {
  const printed = await helm("test", "test", "--timeout", "10m");
  expect(printed.match(/Phase:\s+Succeeded/g)?.length).toBeGreaterThanOrEqual(12);
  expect(printed).not.toMatch(/Phase:\s+Failed/);
});

it("one value rolls its component and nothing else", { timeout: 900_000 }, async () => {
  const rolled = await release.rolledBy(() =>
    helm("upgrade", "test", chart, "--reuse-values", "--set", "schemaRegistry.replicas=2", ...waiting("10m")),
  );
  expect(rolled).toEqual(["schema-registry"]);
});

it("an uninstall leaves nothing", { timeout: 900_000 }, async () => {
  await helm("uninstall", "test", "--wait", "--timeout", "14m", "--cascade", "foreground");
  for (const name of namespaces) expect(await get("Namespace", name)).toBeUndefined();
});
