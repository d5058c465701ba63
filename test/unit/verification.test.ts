// Proves that docs/verification.md matches the heads of the test files, and that cluster and program tests name their
// limits.
// Does not prove that a head is right about its tests.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { head, testFiles, verificationPage } from "../verification.ts";

it("docs/verification.md follows the heads of the tests; `npm run docs` writes it", () => {
  expect(readFileSync("docs/verification.md", "utf8")).toBe(verificationPage());
});

it.each(["test/cluster", "test/program", "apps/deployd/test"])("the files of %s state their limits", (folder) => {
  expect(testFiles(folder).filter((file) => !head(readFileSync(file, "utf8"))?.limits)).toEqual([]);
});

it.each([
  ["// Proves one thing.\n// It does not prove another.\nimport x;", "Proves one thing.", "It does not prove another."],
  [
    "/** One thing. That it starts, the cluster tests prove. */\n",
    "One thing.",
    "That it starts, the cluster tests prove.",
  ],
  ["// Proves one thing. Not over TLS.\n// Exercises: redis.\nimport x;", "Proves one thing.", "Not over TLS."],
  ["// Proves one thing.\nimport x;", "Proves one thing.", undefined],
])("reads %j", (text, proves, limits) => {
  expect(head(text)).toEqual(limits ? { proves, limits } : { proves });
});

it("reads nothing if a file has no comment at its start", () => {
  expect(head("import x;\n// Proves nothing.\n")).toBeUndefined();
});
