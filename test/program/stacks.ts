import { parse } from "yaml";
import type { Definition } from "../../components/kit/definition.ts";
import { type ComponentKey, registry } from "../../components/registry.ts";
import program from "../../index.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { type Evaluation, type RandomSource, redacted, seeded } from "../../render/evaluate.ts";
import { type Manifest, manifests } from "../../render/manifests.ts";
import { run } from "../../render/run.ts";
import { readStack } from "../../render/stack.ts";

export const stacks = ["dev", "test", "prod"] as const;

export interface Evaluated {
  evaluation: Evaluation;
  manifests: Manifest[];
  objects: KubernetesObject[];
}

/** Evaluations by their arguments, shared by the test files of a worker. */
const known = new Map<string, Promise<Evaluated>>();

/**
 * The whole program for a stack: the stack's file with `changes` (YAML, keyed by component). `name` replaces the stack's
 * name. Evaluated once and frozen; `fresh` evaluates it again.
 */
export function evaluated(
  stack: string,
  { fresh, ...options }: { changes?: string | undefined; random?: RandomSource; name?: string; fresh?: boolean } = {},
): Promise<Evaluated> {
  const { changes = "{}", random = redacted } = options;
  // Sources of passwords are distinguished by the values they return.
  const password = random({ type: "random:index/randomPassword:RandomPassword", name: "any", inputs: { length: 32 } });
  const key = JSON.stringify([stack, options.name, changes, password]);
  if (fresh) return evaluate(stack, options);
  const evaluation = known.get(key) ?? evaluate(stack, options).then(frozen);
  known.set(key, evaluation);
  return evaluation;
}

function frozen<T>(value: T): T {
  if (value !== null && typeof value === "object" && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

async function evaluate(
  stack: string,
  options: { changes?: string | undefined; random?: RandomSource; name?: string },
): Promise<Evaluated> {
  const file = { ...readStack(".", stack), stack: options.name ?? stack };
  const changes = Object.entries((parse(options.changes ?? "{}") ?? {}) as Record<string, unknown>);
  for (const [component, change] of changes) {
    const key = `data-platform:${component}`;
    file.config[key] = merged(file.config[key], change);
  }
  const evaluation = await run(program, file, { random: options.random ?? redacted, context: "a-cluster" });
  const all = manifests(evaluation);
  return { evaluation, manifests: all, objects: all.map(({ object }) => object as KubernetesObject) };
}

/** The same with realistic secrets, so that no placeholder hides a leak. */
export const evaluatedWithSecrets = (stack: string, changes?: string) =>
  evaluated(stack, { changes, random: seeded("a test's seed") });

/** Changes that disable every component except these, so that a test renders only what it reads. */
export const only = (...kept: ComponentKey[]) =>
  disabled(Object.keys(registry).filter((key) => key !== "djangoApps" && !kept.some((one) => one === key)));

/** Changes that disable a component and all that need it. */
export const without = (key: ComponentKey) => disabled([key, ...needing(key)]);

const needing = (key: string): string[] =>
  Object.entries<Definition>(registry)
    .filter(([, { needs }]) => key in needs)
    .flatMap(([other]) => [other, ...needing(other)]);

const disabled = (keys: string[]) => Object.fromEntries(keys.map((key) => [key, { enabled: false }]));

/** The one object of a kind and name. */
export const named = ({ objects }: Evaluated, kind: string, name: string) =>
  objects.find((object) => object.kind === kind && object.metadata.name === name) as KubernetesObject;

/** Objects that one evaluation adds to or changes in the previous one: `Deployment trino-worker`, `Job x-setup-#`. */
export const changed = (before: Evaluated, after: Evaluated) =>
  after.objects
    .filter((object) => !before.objects.some((old) => JSON.stringify(old) === JSON.stringify(object)))
    .map(({ kind, metadata }) => `${kind} ${metadata.name.replace(/-[0-9a-f]{8}$/, "-#")}`)
    .sort();

function merged(base: unknown, change: unknown): unknown {
  const isMap = (value: unknown): value is Record<string, unknown> =>
    value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isMap(base) || !isMap(change)) return change;
  return Object.fromEntries(
    [...new Set([...Object.keys(base), ...Object.keys(change)])].map((key) => [
      key,
      key in change ? merged(base[key], change[key]) : base[key],
    ]),
  );
}
