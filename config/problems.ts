import { distance } from "fastest-levenshtein";
import type { z } from "zod";
import { ConfigError } from "./errors.ts";
import { type Config, schema, schemaOf } from "./schema.ts";

/** Everything that is wrong with a stack's configuration, each in one line: which key, what was found, what is valid. */
export class ConfigProblems extends ConfigError {
  override name = "ConfigProblems";
  readonly stackName: string;
  readonly problems: string[];

  constructor(stack: string, problems: string[]) {
    super(problems.map((problem) => `stack ${stack}: ${problem}`).join("\n"));
    this.stackName = stack;
    this.problems = problems;
  }
}

/**
 * What a stack may be called. Namespaces, labels and the web application's objects begin with the name; the longest of
 * those, `app-<stack>-cronjob-restore`, is a CronJob, whose name may have 52 characters. `kube-` is Kubernetes' own.
 */
const stackName = /^(?!kube(-|$))[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$/;
const stackNameExpected =
  "expected at most 30 lower-case letters, digits and dashes, with a letter or digit at both ends, and not kube first";

/** The configuration of `stack` with every default filled in. Throws `ConfigProblems` with everything that is wrong. */
export function parseConfig(stack: string, values: Record<string, unknown>): Config {
  const result = schemaOf(stack).safeParse(values, { reportInput: true });
  const problems = [
    ...(stackName.test(stack) ? [] : [`the stack's name: found ${show(stack)}; ${stackNameExpected}`]),
    ...(result.error?.issues.flatMap((issue) => describe(issue, values)) ?? []),
  ];
  if (result.success && problems.length === 0) return result.data;
  throw new ConfigProblems(stack, problems);
}

function describe(issue: z.core.$ZodIssue, values: unknown): string[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => {
      const known = knownKeys(issue.path);
      return `${dotted([...issue.path, key])}: unknown key; ${nearest(key, known) ?? `known here: ${known.join(", ")}`}`;
    });
  // A cross-check passes the value it compared, which may be a default that is in no file.
  const found = issue.code === "custom" ? (issue.input ?? at(values, issue.path)) : at(values, issue.path);
  const hidden = issue.code === "custom" && issue.params?.hidden === true;
  const shown = hidden || isSecret(issue.path, found) ? "a value that is not shown" : show(found);
  // Of a name that is not valid, the message is the name's own.
  const message = (issue.code === "invalid_key" && issue.issues[0]?.message) || issue.message;
  return [`${dotted(issue.path)}: found ${shown}; ${message}`];
}

/** A key as it is written in a file; one with a line break or the like in it is quoted, so that a problem is one line. */
const dotted = (path: PropertyKey[]) =>
  path
    .map((key, i) => {
      if (typeof key === "number") return `[${key}]`;
      const name = String(key);
      return `${i ? "." : ""}${/^[\w./-]+$/.test(name) ? name : JSON.stringify(name)}`;
    })
    .join("");

const at = (values: unknown, path: PropertyKey[]) =>
  path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], values);

/** A value that may be or hold a password is never printed. In such a block only these two keys are about something else. */
const isSecret = (path: PropertyKey[], found: unknown) =>
  path.some((key) => /^(auth|env|secrets|password|token|secret|credentials)$/i.test(String(key))) &&
  !(/^(rotation|existingSecret)$/.test(String(path.at(-1))) && typeof found !== "object");

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** The keys that the schema knows under a path. */
function knownKeys(path: PropertyKey[]): string[] {
  type Definition = { innerType?: unknown; element?: unknown; shape?: Record<string, unknown>; valueType?: unknown };
  /** The type under a key: a block has one for each key, a mapping the same for every name. */
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

/** The known key that a misspelt one is closest to, as advice; undefined if none is close. */
function nearest(key: string, known: string[]): string | undefined {
  const best = known
    .map((name) => ({ name, distance: distance(key.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return best && best.distance <= Math.max(2, key.length / 3) ? `did you mean ${best.name}?` : undefined;
}
