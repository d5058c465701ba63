// Proves how what lies in a repository is read, as far as it needs neither Helm nor kustomize: those the cluster tests run.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { render } from "../src/render.ts";
import { parseSettings } from "../src/settings.ts";
import { configMap } from "./fake-cluster.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "render-test-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const read = (files: Record<string, string>, more = "") => {
  for (const [path, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), contents);
  }
  const [settings] = parseSettings(`repositories: [{ name: a/b, url: "http://x", namespace: apps ${more} }]`);
  return render(folder, settings!, new AbortController().signal);
};
const titles = async (...of: Parameters<typeof read>) =>
  (await read(...of)).map(({ kind, metadata }) => `${kind} ${metadata.name}`);

it("takes every YAML file, each document in it and each item of a list, in the order of applying", async () => {
  const deployment = "{ apiVersion: apps/v1, kind: Deployment, metadata: { name: d } }";
  expect(
    await titles({
      "deploy/manifests/a.yaml": `---\n${deployment}\n---\n---\n${configMap("a", "1")}`,
      "deploy/manifests/deeper/b.yml": `{ apiVersion: v1, kind: List, items: [${configMap("b", "1")}] }`,
      "deploy/manifests/README.md": "words",
      "elsewhere.yaml": "not: looked at",
    }),
  ).toEqual(["ConfigMap a", "ConfigMap b", "Deployment d"]);
});

it.each([
  ["manifests", { "deploy/manifests/a.yaml": configMap("a", "1") }, "expected the folder deploy/overlays/test"],
  [
    "a chart",
    { "deploy/manifests/Chart.yaml": "name: a" },
    "expected deploy/manifests/values-test.yaml or deploy/overlays/test",
  ],
  [
    "an overlay",
    { "deploy/manifests/a.yaml": "", "deploy/overlays/test/a.yaml": "" },
    "deploy/overlays/test has no kustomization.yaml",
  ],
])("refuses an environment that %s lack", async (_, files, message) => {
  await expect(read(files as Record<string, string>, ", environment: test")).rejects.toThrow(message);
});

it("says where a chart is rendered that Helm is not there, or what it says", async () => {
  await expect(read({ "deploy/manifests/Chart.yaml": "words" })).rejects.toThrow(/^helm: /);
});
