// Proves that the reference page and the editors' schema match config/schema.ts.
// Does not prove that a description is right.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { editorSchema, referencePage } from "../../config/reference.ts";

it.each([
  ["docs/configuration.md", referencePage],
  ["config/stack.schema.json", editorSchema],
])("%s follows the schema; `npm run docs` writes it", (file, made) => {
  expect(readFileSync(file, "utf8")).toBe(made());
});

it("describes every key", () => {
  const undescribed = referencePage()
    .split("\n")
    .filter((line) => line.startsWith("| `") && line.endsWith("|  |"));
  expect(undescribed).toEqual([]);
});
