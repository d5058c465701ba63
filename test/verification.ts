import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/*
 * The tables of docs/verification.md, from the comment at the head of each test file. `npm run docs` writes the page; a
 * test compares it.
 */

const page = "docs/verification.md";
const begin = "<!-- The tables below are written by `npm run docs` from the heads of the test files. -->";

const layers: { title: string; folder: string; about: string }[] = [
  {
    title: "On a cluster",
    folder: "test/cluster",
    about: "Real pods and real clients: `./platform test --cluster` (Linux, root).",
  },
  {
    title: "The rendered stacks",
    folder: "test/program",
    about: "The whole program of each stack, without a cluster.",
  },
  { title: "Functions and commands", folder: "test/unit", about: "Pure functions, components under mocks, commands." },
  { title: "deployd", folder: "apps/deployd/test", about: "Its own tests: `(cd apps/deployd && npx vitest run)`." },
];

export interface Head {
  proves: string;
  /** The sentences from the first one that names a limit; undefined if there is none. */
  limits?: string;
}

/** The comment at the start of a test file, without its line `Exercises:`. */
const comment = (text: string): string =>
  (/^(?:\/\/.*\n)+|^\/\*[\s\S]*?\*\//.exec(text)?.[0] ?? "")
    .replace(/^\/\/ Exercises: .*$/m, "")
    .replace(/^\s*(\/\/|\/\*\*?|\*\/|\*(?!\/))|\*\/\s*$/gm, "")
    .replace(/\s+/g, " ")
    .trim();

/** "It does not prove …", "Not over TLS", or "That the server starts with it, the cluster tests prove." */
const limit =
  /\b(does not|this does not|neither|nor|is not|not) (prove|proven|tested|measure|run|ask|over)\b|\bnothing else\b|^(That|What|How) .*\btest(s|ed)?\b|^That .*\bcluster\b/i;

/** The head of a test file; undefined without a comment at its start. */
export function head(text: string): Head | undefined {
  const all = comment(text);
  if (!all) return undefined;
  const sentences = all.split(/(?<=[.:]) (?=[A-Z`])/);
  const at = sentences.findIndex((sentence, index) => index > 0 && limit.test(sentence));
  if (at < 0) return { proves: all };
  return { proves: sentences.slice(0, at).join(" "), limits: sentences.slice(at).join(" ") };
}

/** The test files of a layer, in the order in which they run. */
export const testFiles = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".test.ts"))
    .sort()
    .map((name) => join(folder, name));

const cell = (text: string): string => text.replaceAll("|", "\\|");

function table(folder: string): string {
  const rows = testFiles(folder).map((file) => {
    const { proves = "", limits = "" } = head(readFileSync(file, "utf8")) ?? {};
    return `| [${basename(file, ".test.ts")}](../${file}) | ${cell(proves)} | ${cell(limits)} |`;
  });
  return ["| test | proves | limits |", "|---|---|---|", ...rows].join("\n");
}

/** `docs/verification.md`: its hand-written sections unchanged, and the tables. */
export function verificationPage(): string {
  const [byHand, ...rest] = readFileSync(page, "utf8").split(begin);
  if (rest.length === 0) throw new Error(`${page}: expected the line ${begin}`);
  const tables = layers.map(({ title, folder, about }) => `### ${title}\n\n${about}\n\n${table(folder)}\n`);
  return `${byHand}${begin}\n\n${tables.join("\n")}`;
}
