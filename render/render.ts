import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { stringify } from "yaml";
import { type KubeObject, type Manifest, rankOf } from "./manifests.ts";
import { ConfigError } from "./stack.ts";

/** First words of every file that render writes: how it knows its own when it writes again. */
const mark = "# Rendered by ./platform render";

/**
 * The name of an object's file. It depends on nothing but the object, so that a new object renames no other file,
 * and names sort in an order that can be applied.
 */
export function fileName(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  const rank = String(rankOf(object)).padStart(2, "0");
  return `${rank}-${[object.kind.toLowerCase(), namespace, name].filter(Boolean).join(".")}.yaml`;
}

/** Every file of a rendered stack: its name and its text. */
export function renderFiles(stack: string, all: Manifest[]): Map<string, string> {
  const header = `${mark} from stack ${stack}: change the stack's configuration, not this file.\n`;
  const files = new Map<string, string>();
  for (const { object, key } of all) {
    const name = fileName(object);
    if (files.has(name)) throw new Error(`${key} would be written to ${name}, which another object has already`);
    files.set(name, header + yaml(object));
  }
  const sorted = new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
  // fifo: kustomize would sort by kinds it knows and forget what comes first otherwise.
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    sortOptions: { order: "fifo" },
    resources: [...sorted.keys()],
  };
  return sorted.set("kustomization.yaml", header + yaml(kustomization));
}

/**
 * No anchors, no folded lines: the same object is the same text, and a change of a line is a change of a line. Text that
 * YAML 1.1 takes for something else, as kubectl takes `off` for a boolean, is quoted.
 */
const yaml = (value: unknown) =>
  stringify(value, {
    aliasDuplicateObjects: false,
    compat: "yaml-1.1",
    lineWidth: 0,
    sortMapEntries: true,
    // No object has tags of its own, and the search for them goes through all of it.
    directives: false,
  });

/**
 * Puts the files into `out`, all or none: written beside it first and swapped in, so that an interrupted run leaves
 * what was there. Refuses a directory with anything in it that render did not write.
 */
export function writeFiles(out: string, files: Map<string, string>, options: { secret: boolean }): void {
  const target = resolve(out);
  const foreign = existsSync(target) ? strangers(target) : [];
  if (foreign.length > 0)
    throw new ConfigError(
      `--out: ${out} holds ${foreign.slice(0, 3).join(", ")}${foreign.length > 3 ? ", …" : ""}, which render did not write; ` +
        "expected a new directory, an empty one or one of its own",
    );
  const beside = join(dirname(target), `.${basename(target)}.render`);
  mkdirSync(dirname(target), { recursive: true });
  // What an interrupted run has left.
  for (const name of readdirSync(dirname(target)))
    if (name.startsWith(`.${basename(target)}.render-`)) rmSync(join(dirname(target), name), { recursive: true });
  const fresh = `${beside}-new-${process.pid}`;
  const old = `${beside}-old-${process.pid}`;
  mkdirSync(fresh, { mode: options.secret ? 0o700 : 0o755 });
  for (const [name, text] of files) writeFileSync(join(fresh, name), text, { mode: options.secret ? 0o600 : 0o644 });
  if (existsSync(target)) renameSync(target, old);
  renameSync(fresh, target);
  rmSync(old, { recursive: true, force: true });
}

function strangers(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => !entry.isFile() || !readFileSync(join(directory, entry.name), "utf8").startsWith(mark))
    .map((entry) => entry.name);
}
