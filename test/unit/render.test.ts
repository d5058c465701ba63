// Proves which files are rendered.
// Does not prove that kubectl accepts them: the cluster tests do.
import { expect, test } from "vitest";
import { parse } from "yaml";
import { redacted } from "../../render/evaluate.ts";
import { manifests } from "../../render/manifests.ts";
import { fileName, renderFiles } from "../../render/render.ts";
import { evaluation, object, stack } from "./engine-program.ts";

const files = (program = stack(redacted)) => renderFiles("dev", manifests(program));

test.each([
  "off",
  "on",
  "yes",
  "no",
  "y",
  "N",
  "True",
  "012",
  "0o14",
  "1_000",
  "1:30",
  "2026-11-25",
  "~",
  "null",
  ".5",
  "1e3",
  "=",
  "<<",
])("text that YAML 1.1 or 1.2 reads as another type is quoted: %s", (text) => {
  const program = evaluation(
    object("Namespace", "dev"),
    object("ConfigMap", "settings", { data: { text, [text]: "" } }),
  );
  const written = files(program).get("40-configmap.dev.settings.yaml")!;
  for (const version of ["1.1", "1.2"] as const) expect(parse(written, { version }).data).toEqual({ text, [text]: "" });
});

test("file names sort in an order that can be applied, as in the kustomization", () => {
  const names = [...files().keys()];
  expect(names).toEqual([
    "05-namespace.dev.yaml",
    "30-secret.dev.db.yaml",
    "40-configmap.dev.settings.yaml",
    "45-persistentvolumeclaim.dev.data-db-0.yaml",
    "60-statefulset.dev.db.yaml",
    "70-job.dev.users-1.yaml",
    "kustomization.yaml",
  ]);
  expect(parse(files().get("kustomization.yaml")!)).toMatchObject({
    sortOptions: { order: "fifo" },
    resources: names.slice(0, -1),
  });
  expect(fileName({ apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w" } })).toBe("90-widget.w.yaml");
});

test("the same program renders the same bytes, whatever its order", () => {
  const program = stack(redacted);
  const turned = { ...program, resources: [...program.resources].reverse() };
  for (const { inputs } of turned.resources)
    turned.resources.find((r) => r.inputs === inputs)!.inputs = reversedKeys(inputs);
  expect([...files(turned)]).toEqual([...files()]);
});

const reversedKeys = (value: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [
        key,
        item !== null && typeof item === "object" && !Array.isArray(item) ? reversedKeys(item as typeof value) : item,
      ]),
  );

test("a redacted Secret has all its keys and no secret", () => {
  expect(parse(files().get("30-secret.dev.db.yaml")!)).toEqual({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "db", namespace: "dev" },
    stringData: { password: "REDACTED-db" },
  });
});

test("an added object changes no other file", () => {
  const program = stack(redacted);
  program.resources.unshift(object("ConfigMap", "another"));
  const [before, after] = [files(), files(program)];
  for (const [name, text] of before) if (name !== "kustomization.yaml") expect(after.get(name)).toBe(text);
  expect(after.size).toBe(before.size + 1);
});
