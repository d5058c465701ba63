import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Folder } from "./folder.ts";
import { type KubeObject, type Manifest, rankOf } from "./manifests.ts";

/** The first words of every file that render writes, by which it recognises them. */
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
  // fifo: otherwise kustomize sorts by the kinds that it knows.
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    sortOptions: { order: "fifo" },
    resources: [...sorted.keys()],
  };
  return sorted.set("kustomization.yaml", header + yaml(kustomization));
}

/**
 * No anchors, no folded lines: equal objects are equal text, and a changed line changes one line. Text that YAML 1.1
 * reads as another type is quoted: kubectl reads `off` as a boolean.
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

/** A folder with the files of a stack. With `secret`, its passwords are real. */
export const rendered = ({ secret }: { secret: boolean }): Folder => ({
  command: "render",
  foreign: (directory) =>
    readdirSync(directory, { withFileTypes: true })
      .filter((entry) => !entry.isFile() || !readFileSync(join(directory, entry.name), "utf8").startsWith(mark))
      .map((entry) => entry.name),
  secret,
});
