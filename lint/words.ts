import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import ts from "typescript";
import { parse } from "yaml";

/*
 * Looks for the words of lint/words.yaml in the files that git tracks: all text, but of TypeScript only comments and
 * literals, since names in code may come from an API. `--count` counts them by folder, exceptions included.
 */

export interface Word {
  pattern: string;
  instead: string;
}

export interface Finding {
  file: string;
  line: number;
  found: string;
  instead: string;
}

interface Text {
  text: string;
  /** Offset in the file. */
  start: number;
}

/** Comments and literals of a TypeScript file. */
function proseOf(file: string, text: string): Text[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: Text[] = [];
  const visit = (node: ts.Node): void => {
    const children = node.getChildren(source);
    for (const child of children) visit(child);
    if (children.length > 0) return;
    const start = node.getStart(source);
    // What is between two tokens is white space and comments.
    found.push({ text: text.slice(node.pos, start), start: node.pos });
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node))
      found.push({ text: text.slice(start, node.end), start });
  };
  visit(source);
  return found;
}

/** The words that a file has. `file` decides how it is read and is named in the findings. */
export function findings(file: string, text: string, words: Word[]): Finding[] {
  const texts = /\.m?[tj]s$/.test(file) ? proseOf(file, text) : [{ text, start: 0 }];
  return words
    .flatMap(({ pattern, instead }) =>
      texts.flatMap((prose) =>
        [...prose.text.matchAll(new RegExp(`(?<![\\w-])(?:${pattern})(?![\\w-])`, "gi"))].map((match) => ({
          at: prose.start + match.index,
          found: match[0],
          instead,
        })),
      ),
    )
    .sort((a, b) => a.at - b.at)
    .map(({ at, found, instead }) => ({ file, line: text.slice(0, at).split("\n").length, found, instead }));
}

/** What is generated, of others, or lists the words. */
const apart =
  /(^|\/)(package-lock\.json|go\.sum|LICENSE|Chart\.lock)$|^test\/golden\/|^lint\/|\.(svg|png|jar)$|stack\.schema\.json$/;

const list = parse(readFileSync(new URL("words.yaml", import.meta.url), "utf8")) as { words: Word[]; except: string[] };
const excepted = (file: string) =>
  list.except.find((path) => (path.endsWith("/") ? file.startsWith(path) : file === path));

function main(args: string[]): void {
  const counting = args[0] === "--count";
  const named = counting ? args.slice(1) : args;
  const files = named.length > 0 ? named : execFileSync("git", ["ls-files"], { encoding: "utf8" }).trim().split("\n");
  const all = files
    .filter((file) => !apart.test(file))
    .flatMap((file) => findings(file, readFileSync(file, "utf8"), list.words));
  if (counting) {
    const counts = new Map(list.except.map((path) => [path, 0]));
    for (const { file } of all) {
      const folder = excepted(file) ?? "elsewhere";
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
    for (const [folder, count] of [...counts].sort()) console.log(`${folder}: ${count}`);
    return;
  }
  const left = all.filter(({ file }) => !excepted(file));
  for (const { file, line, found, instead } of left)
    console.error(`${file}:${line}: found "${found}"; write: ${instead}`);
  if (left.length > 0) process.exitCode = 1;
}

if (process.argv[1] === import.meta.filename) main(process.argv.slice(2));
