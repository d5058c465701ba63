import { isDeepStrictEqual } from "node:util";
import { structuredPatch } from "diff";
import { stringify } from "yaml";

/** One field that differs: its path, and its value on either side. */
export interface FieldChange {
  path: string;
  before?: unknown;
  after?: unknown;
}

/** The smallest fields at which two values differ. Items of a list are matched by name, if they have one. */
export function fieldChanges(before: unknown, after: unknown, path = ""): FieldChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  const [left, right] = [entries(before), entries(after)];
  if (!left || !right || Array.isArray(before) !== Array.isArray(after)) return [{ path, before, after }];
  const changes = [...new Set([...left.keys(), ...right.keys()])].flatMap((key) =>
    fieldChanges(left.get(key), right.get(key), step(path, key, Array.isArray(after))),
  );
  // The same items in another order: it matters for containers' volumes and variables.
  return changes.length > 0 ? changes : [{ path, before, after }];
}

/** The fields of an object, or the items of a list in which each has a name of its own. */
function entries(value: unknown): Map<string, unknown> | undefined {
  if (value === null || typeof value !== "object") return undefined;
  if (!Array.isArray(value)) return new Map(Object.entries(value));
  const named = new Map(value.map((item): [unknown, unknown] => [(item as { name?: unknown } | null)?.name, item]));
  return named.size === value.length && !named.has(undefined) ? (named as Map<string, unknown>) : undefined;
}

/** A key with dots, like a file in a ConfigMap, is bracketed, and so is an item of a list. */
const step = (path: string, key: string, item: boolean) =>
  item || /[./]/.test(key) ? `${path}[${key}]` : path ? `${path}.${key}` : key;

/** Lines of context around a change within a longer value. */
const context = 1;

/** The change as lines of a diff, each beginning with a plus, a minus or a space. */
export function changeLines({ before, after }: FieldChange): string[] {
  if (before === undefined) return text(after).map((line) => `+ ${line}`);
  if (after === undefined) return text(before).map((line) => `- ${line}`);
  const file = (value: unknown) => `${text(value).join("\n")}\n`;
  const { hunks } = structuredPatch("", "", file(before), file(after), undefined, undefined, { context });
  const lines = hunks.flatMap((hunk, i) => [
    ...(i > 0 ? ["  …"] : []),
    ...hunk.lines.map((line) => `${line[0]} ${line.slice(1)}`),
  ]);
  // Equal as YAML text, such as "1" and 1 within several lines: shown as JSON, which differs.
  return lines.length > 0 ? lines : [`- ${JSON.stringify(before)}`, `+ ${JSON.stringify(after)}`];
}

/** Scripts and files as they are, everything else as YAML. */
const text = (value: unknown): string[] =>
  (typeof value === "string" && value.includes("\n") ? value : yaml(value)).replace(/\n$/, "").split("\n");

const yaml = (value: unknown) => stringify(value, { lineWidth: 0, sortMapEntries: true });
