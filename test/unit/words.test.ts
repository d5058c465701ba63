// Proves where the lint looks for words that the project does not use, and that each word has a replacement.
// Does not prove that a text reads well.
import { expect, it } from "vitest";
import { findings } from "../../lint/words.ts";

const words = [{ pattern: "gizmos?", instead: "component" }];
const lines = (file: string, text: string) => findings(file, text, words).map(({ line, found }) => `${line} ${found}`);

it("finds comments, strings and templates of TypeScript, and no names", () => {
  const text = [
    "/** Each gizmo. */",
    "const gizmo = 1; // gizmos",
    'const a = "A Gizmo";',
    `const b = \`gizmo \${gizmo} gizmo\`;`,
    "/* none */",
  ].join("\n");
  expect(lines("a.ts", text)).toEqual(["1 gizmo", "2 gizmos", "3 Gizmo", "4 gizmo", "4 gizmo"]);
});

it("finds whole words of other files, once each", () => {
  expect(lines("a.md", "gizmo\ngizmology, a-gizmo\nGizmos.")).toEqual(["1 gizmo", "3 Gizmos"]);
});

it("has a replacement for each word", () => {
  expect(findings("a.md", "A gizmo", words)).toEqual([{ file: "a.md", line: 1, found: "gizmo", instead: "component" }]);
});
