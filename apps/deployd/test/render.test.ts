// Proves how the files of a repository are read that need neither Helm nor kustomize.
// Does not prove it for charts and kustomizations: tools.test.ts does.
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { render } from "../src/render.ts";
import { parseSettings } from "../src/settings.ts";
import { configMap, FakeCluster } from "./fake-cluster.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "render-test-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const take = async (path: string) => {
  const found = statSync(join(folder, path), { throwIfNoEntry: false });
  return found && (found.isFile() ? ("file" as const) : ("folder" as const));
};

const read = (files: Record<string, string | Buffer>, more = "") => {
  for (const [path, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), contents);
  }
  const [settings] = parseSettings(`repositories: [{ name: a/b, url: "https://x", namespace: apps ${more} }]`);
  if (!settings) throw new Error("no settings");
  return render({ folder, take }, settings, () => new FakeCluster().capabilities(), new AbortController().signal);
};
const titles = async (...of: Parameters<typeof read>) =>
  (await read(...of)).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
const one = async (text: string) => (await read({ "deploy/manifests/a.yaml": text }))[0];

it("takes every YAML and JSON file, each document in it and each item of a list, in the order of applying", async () => {
  const deployment = "{ apiVersion: apps/v1, kind: Deployment, metadata: { name: d } }";
  expect(
    await titles({
      "deploy/manifests/a.yaml": `---\n${deployment}\n---\n---\n${configMap("a", "1")}`,
      "deploy/manifests/deeper/b.yml": `{ apiVersion: v1, kind: List, items: [${configMap("b", "1")}] }`,
      "deploy/manifests/c.json": '{\n\t"apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } }',
      "deploy/manifests/README.md": "words",
      "elsewhere.yaml": "not: looked at",
    }),
  ).toEqual(["ConfigMap a", "ConfigMap c", "ConfigMap b", "Deployment d"]);
});

describe("YAML", () => {
  const object = "apiVersion: v1\nkind: X\nmetadata: { name: a }\n";

  it("has octal file modes as kubectl has them, and nothing else of YAML 1.1", async () => {
    const values = "[0644, 0400, -017, 0o17, 644, 0, 0888, 0.5, 0x1F, 1_000, 12:30, yes, on, No, 2026-01-02, '0644']";
    expect(await one(`${object}values: ${values}`)).toMatchObject({
      values: [420, 256, -15, 15, 644, 0, 888, 0.5, 31, "1_000", "12:30", "yes", "on", "No", "2026-01-02", "0644"],
    });
  });

  it("has merge keys: one, several, and the mapping's own fields first", async () => {
    const text = `${object}one: &one { a: 1, b: 1 }\ntwo: &two { c: 2 }\nmerged: { <<: [*one, *two], b: 3 }\n`;
    expect(await one(text)).toMatchObject({ merged: { a: 1, b: 3, c: 2 } });
  });
});

describe("refuses in one sentence", () => {
  const at = "deploy/manifests/a.yaml";
  it.each<[string, Record<string, string | Buffer>, string]>([
    ["a broken document", { [at]: "a: [1,\nb: ]" }, `${at}: `],
    ["a document that is no object", { [at]: "just: words" }, `${at}: found a document without apiVersion and kind`],
    [
      "a list without items",
      { [at]: "{ apiVersion: v1, kind: List }" },
      `${at}: a List has no items; expected a list of Kubernetes objects`,
    ],
    [
      "a template that is valid YAML",
      { [at]: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ name }}\n" },
      `${at}: found {{ name }}, which nothing fills in: expected plain YAML, a chart or a kustomization`,
    ],
    [
      "a template that is not",
      { [at]: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}-x\n" },
      `${at}: found {{ .Values.name }}, which nothing fills in`,
    ],
    [
      "a template in a quoted name",
      { [at]: configMap('"{{ name }}"', "1") },
      `${at}: found {{ name }} in the name of a ConfigMap, which nothing fills in`,
    ],
    [
      "UTF-16",
      { [at]: Buffer.from(`\ufeff${configMap("a", "1")}`, "utf16le") },
      `${at}: found UTF-16 or binary data; expected UTF-8`,
    ],
    ["Latin 1", { [at]: Buffer.from("a: \xe4\xf6", "latin1") }, `${at}: found text that is not UTF-8`],
    ["broken JSON", { "deploy/manifests/a.json": "{" }, "deploy/manifests/a.json: not JSON: "],
    [
      "a kustomization further down alone",
      { "deploy/manifests/base/kustomization.yaml": "resources: [a.yaml]", "deploy/manifests/base/a.yaml": "" },
      "deploy/manifests has no kustomization.yaml, but deploy/manifests/base has one: set path to the folder that is to be built",
    ],
    [
      "a chart further down alone",
      { "deploy/manifests/web/Chart.yaml": "name: web" },
      "deploy/manifests has no Chart.yaml, but deploy/manifests/web has one: set path to the folder that is to be built",
    ],
    ["a file in place of the folder", { "deploy/manifests": "x" }, "deploy/manifests is a file; expected a folder"],
  ])("%s", async (_, files, message) => {
    const said = await read(files).catch((error: Error) => error.message);
    expect(said).toContain(message);
    expect(said).not.toMatch(/\n|Error|node:/);
  });

  it("no template in a value that is text", async () => {
    expect(await one(configMap("a", "{{ $labels.pod }}"))).toMatchObject({ data: { value: "{{ $labels.pod }}" } });
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
  ])("an environment that %s lack", async (_, files, message) => {
    await expect(read(files as Record<string, string>, ", environment: test")).rejects.toThrow(message);
  });
});

describe("ends what takes more than its share, and goes on:", () => {
  const bomb = [
    "a: &a [x, x, x, x, x, x, x, x, x]",
    ..."bcdefghi".split("").map((key, index) => {
      const alias = `*${"abcdefgh"[index]}`;
      return `${key}: &${key} [${Array(9).fill(alias).join(", ")}]`;
    }),
  ].join("\n");
  const object = "apiVersion: v1\nkind: X\nmetadata: { name: a }\n";
  const configJson = (name: string, value: string) =>
    JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { value } });
  it.each<[string, Record<string, string>, RegExp]>([
    ["a YAML list of 1 MiB", { "a.yaml": "- a\n".repeat(262_144) }, /a\.yaml needs more than 80 MiB of memory$/],
    ["a nested YAML list", { "a.yaml": "[".repeat(500_000) }, /^(reading )?deploy\/manifests\/a\.yaml/],
    [
      "a mapping in a mapping in a mapping",
      { "a.yaml": `a: ${"{ a: ".repeat(20_000)}` },
      /^deploy\/manifests\/a\.yaml: /,
    ],
    ["aliases of aliases", { "a.yaml": object + bomb }, /^deploy\/manifests\/a\.yaml: Excessive alias count/],
    [
      "a JSON list of 1 MiB",
      { "a.json": `{"apiVersion":"v1","kind":"X","metadata":{"name":"a"},"a":[${"[],".repeat(349_000)}[]]}` },
      /^deploy\/manifests\/a\.json: expected at most 20000 values in one object$/,
    ],
    [
      "many objects",
      { "a.yaml": Array.from({ length: 1001 }, (_, index) => configMap(`a${index}`, "1")).join("\n---\n") },
      /^deploy\/manifests\/a\.yaml: expected at most 1000 objects$/,
    ],
    [
      "much text",
      Object.fromEntries(["a", "b", "c"].map((name) => [`${name}.json`, configJson(name, "x".repeat(1_900_000))])),
      /deploy\/manifests\/a\.json and 2 more files: printed more than 4 MiB$/,
    ],
  ])("%s", async (_, files, message) => {
    const paths = Object.entries(files).map(([name, text]) => [`deploy/manifests/${name}`, text]);
    await expect(read(Object.fromEntries(paths))).rejects.toThrow(message);
  });
});
