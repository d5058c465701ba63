import { distance } from "fastest-levenshtein";
import type { z } from "zod";
import { type Config, schema } from "./schema.ts";

/** Everything that is wrong with a stack's configuration, each in one line: which key, what was found, what would be right. */
export class ConfigProblems extends Error {
  override name = "ConfigProblems";
  readonly stackName: string;
  readonly problems: string[];

  constructor(stack: string, problems: string[]) {
    super(problems.map((problem) => `stack ${stack}: ${problem}`).join("\n"));
    this.stackName = stack;
    this.problems = problems;
  }
}

/** The configuration of `stack` with every default filled in, or `ConfigProblems` that names all that is wrong. */
export function parseConfig(stack: string, values: Record<string, unknown>): Config {
  const result = schema.safeParse(values, { reportInput: true });
  if (result.success) return result.data;
  throw new ConfigProblems(
    stack,
    result.error.issues.flatMap((issue) => describe(issue, values)),
  );
}

function describe(issue: z.core.$ZodIssue, values: unknown): string[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => {
      const known = knownKeys(issue.path);
      return `${dotted([...issue.path, key])}: unknown key; ${nearest(key, known) ?? `known here: ${known.join(", ")}`}`;
    });
  // A cross-check hands over what it looked at, which may be a default that stands in no file.
  const found = issue.code === "custom" ? (issue.input ?? at(values, issue.path)) : at(values, issue.path);
  const shown = isSecret(issue.path) ? "a value that is not shown" : show(found);
  return [`${dotted(issue.path)}: found ${shown}; ${issue.message}`];
}

const dotted = (path: PropertyKey[]) =>
  path.map((key, i) => (typeof key === "number" ? `[${key}]` : `${i ? "." : ""}${String(key)}`)).join("");

const at = (values: unknown, path: PropertyKey[]) =>
  path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], values);

/** A key that may hold a password is never printed, whatever was put there. */
const isSecret = (path: PropertyKey[]) =>
  path.some((key) => /^(auth|env|secrets|password|token|secret|credentials)$/i.test(String(key))) &&
  !/^(rotation|existingSecret)$/.test(String(path.at(-1)));

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** The keys that the schema knows under a path. */
function knownKeys(path: PropertyKey[]): string[] {
  type Definition = { innerType?: unknown; element?: unknown; shape?: Record<string, unknown>; valueType?: unknown };
  /** What stands under a key of a type: a block's own keys, or in a mapping the same under every name. */
  const under = (type: unknown, key: PropertyKey): unknown => {
    for (let t = type as { def?: Definition }; t?.def; t = (t.def.innerType ?? t.def.element) as typeof t)
      if (t.def.shape) return t.def.shape[String(key)];
      else if (t.def.valueType) return t.def.valueType;
    return undefined;
  };
  const shape = (type: unknown): Record<string, unknown> => {
    for (let t = type as { def?: Definition }; t?.def; t = (t.def.innerType ?? t.def.element) as typeof t)
      if (t.def.shape) return t.def.shape;
    return {};
  };
  // All items of a list know the same keys.
  const keys = path.filter((key) => typeof key !== "number");
  return Object.keys(shape(keys.reduce<unknown>(under, schema)));
}

/** The known key that a misspelt one is closest to, as advice; undefined where nothing is close. */
function nearest(key: string, known: string[]): string | undefined {
  const best = known
    .map((name) => ({ name, distance: distance(key.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return best && best.distance <= Math.max(2, key.length / 3) ? `did you mean ${best.name}?` : undefined;
}
