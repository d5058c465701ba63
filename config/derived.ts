import { AsyncLocalStorage } from "node:async_hooks";

/*
 * What the program computes from a configured value, and what it creates only for some values. The Helm chart is written
 * by evaluating the program once with template expressions in place of the values: then a tracer turns the calls of these
 * functions into calls of templates, conditions and loops. Without a tracer they are plain functions.
 */

/** Takes the place of the functions below while the chart is written. */
export interface Tracer {
  /** The result of a derived function. `compute` is the function itself, for arguments that are plain values. */
  value(name: string, args: readonly unknown[], compute: () => unknown): unknown;
  /** The fields that a derived function gives. */
  derivedFields(name: string, args: readonly unknown[], compute: () => object): object;
  /** A value that may be missing, where it is not. */
  set(value: unknown): unknown;
  /** The condition that a value is set; a boolean for plain values. */
  condition(value: unknown): Condition | boolean;
  fields(condition: Condition, fields: object): object;
  items(condition: Condition, items: readonly unknown[]): unknown[];
  text(condition: Condition, set: string, unset: string): string;
  firstOf(values: readonly unknown[]): unknown;
  joined(items: readonly string[], separator: string): string;
  ordinals(count: number): number[];
  others(list: readonly string[], known: readonly string[]): string[];
  /** `fields` with each entry changed, those under conditions too. */
  mapped(fields: object, change: (entry: [string, unknown]) => [string, unknown]): object;
  /** An item for each entry of `fields`, those under conditions too. */
  listed(fields: object, item: (entry: [string, unknown]) => unknown): unknown[];
  overridden(base: object, by: object, value: (value: unknown) => unknown, except: string | undefined): object;
  truth(condition: Condition): boolean;
  /** The condition of an object is that of the value that it was created for. */
  belongs(object: unknown, condition: Condition): void;
  /** The conditions that hold within the loops over which something with this name exists. */
  rounds(name: string): Condition[];
  itemsUnder(entries: readonly Entry<unknown>[], known: Conditions): unknown[];
  entriesWith(list: readonly object[], fields: Record<string, string>): object[];
  chosen(kind: string, lists: Record<string, readonly unknown[]>, name: string): unknown[];
}

/** An expression that is true or false. */
export type Condition = string;

let tracer: Tracer | undefined;

/** The conditions under which something is created: all must hold. A list of lists: at least one of them. */
export type Conditions = readonly (Condition | { anyOf: Conditions[] })[];
const conditions = new AsyncLocalStorage<Conditions>();

/** The conditions of what is being created; undefined without a tracer. */
export const currentConditions = (): Conditions | undefined => tracer && (conditions.getStore() ?? []);

/** The conditions of what is being created for a value, or for an entry of a configured list that is part of its name. */
export function conditionsOf(value: unknown, name = ""): Conditions | undefined {
  const condition = conditionOf(value);
  return (
    tracer && [
      ...(conditions.getStore() ?? []),
      ...tracer.rounds(name),
      ...(typeof condition === "string" ? [condition] : []),
    ]
  );
}

/** The conditions of what exists if all of both hold. */
export const both = (one: Conditions | undefined, other: Conditions | undefined): Conditions | undefined =>
  one && [...one, ...(other ?? [])];

/** The conditions of what exists for at least one of several. One that holds whenever another does adds nothing. */
export function forAny(all: readonly (Conditions | undefined)[]): Conditions | undefined {
  const texts = (of: Conditions) => of.map((one) => JSON.stringify(one));
  const anyOf: Conditions[] = [];
  for (const one of all.filter((of) => of !== undefined)) {
    const implies = (other: Conditions, of: Conditions) => texts(of).every((text) => texts(other).includes(text));
    if (anyOf.some((known) => implies(one, known))) continue;
    anyOf.splice(0, anyOf.length, ...anyOf.filter((known) => !implies(known, one)), one);
  }
  return anyOf.length > 1 ? [{ anyOf }] : anyOf[0];
}

/** Creates something that exists under conditions. */
export const createUnder = <T>(of: Conditions | undefined, create: () => T): T =>
  of ? conditions.run([...(conditions.getStore() ?? []), ...of], create) : create();

/** An item of a list that exists under conditions. */
export interface Entry<I> {
  item: I;
  conditions: Conditions | undefined;
}

/** The items of a list, each under its conditions. `known`: those that hold for the whole list. */
export const itemsUnder = <I>(entries: readonly Entry<I>[], known: Conditions = []): I[] =>
  (tracer?.itemsUnder(entries, known) ?? entries.map(({ item }) => item)) as I[];

const under = <T>(condition: Condition, create: () => T): T =>
  conditions.run([...(conditions.getStore() ?? []), condition], create);

/** A text, a number or a truth that follows from its arguments. `name` is that of the chart's template for it. */
export const derived =
  <Args extends readonly unknown[], Result extends string | number | boolean>(
    name: string,
    compute: (...args: Args) => Result,
  ) =>
  (...args: Args): Result =>
    // The tracer returns what takes the result's place in texts, manifests and conditions.
    tracer ? (tracer.value(name, args, () => compute(...args)) as Result) : compute(...args);

/** Fields that follow from their arguments: to spread into a block, or for another derived function to take. */
export const derivedFields =
  <Args extends readonly unknown[], Result extends object>(name: string, compute: (...args: Args) => Result) =>
  (...args: Args): Result =>
    // The tracer returns what becomes a loop in a block.
    tracer ? (tracer.derivedFields(name, args, () => compute(...args)) as Result) : compute(...args);

type Set<T> = Exclude<T, undefined | null | false | "">;

/** Whether a value is set: not undefined, false, an empty text or an empty list. */
const isSet = <T>(value: T): value is Set<T> & T => (Array.isArray(value) ? value.length > 0 : Boolean(value));

const conditionOf = (value: unknown): Condition | boolean => tracer?.condition(value) ?? isSet(value);

/** Creates something if a value is set. Undefined if it is not. */
export function whenever<T, R>(value: T, create: (value: Set<T>) => R): R | undefined {
  const condition = conditionOf(value);
  if (typeof condition === "boolean") return condition ? create(value as Set<T>) : undefined;
  const created = under(condition, () => create(tracer?.set(value) as Set<T>));
  tracer?.belongs(created, condition);
  return created;
}

/** Creates something if a value is not set. */
export function unless<R>(value: unknown, create: () => R): R | undefined {
  const condition = conditionOf(value);
  if (typeof condition === "boolean") return condition ? undefined : create();
  return under(`(not ${condition})`, create);
}

/** Fields that exist if a value is set, to spread into an object. */
export function when<T, F extends object>(value: T, fields: (value: Set<T>) => F): F | Record<never, never> {
  const condition = conditionOf(value);
  if (typeof condition === "boolean") return condition ? fields(value as Set<T>) : {};
  return (
    tracer?.fields(
      condition,
      under(condition, () => fields(tracer?.set(value) as Set<T>)),
    ) ?? {}
  );
}

/** Items that exist if a value is set, to spread into a list. */
export function itemsWhen<T, I>(value: T, items: (value: Set<T>) => I[]): I[] {
  const condition = conditionOf(value);
  if (typeof condition === "boolean") return condition ? items(value as Set<T>) : [];
  return (tracer?.items(
    condition,
    under(condition, () => items(tracer?.set(value) as Set<T>)),
  ) ?? []) as I[];
}

/** Whether a value is set, as a value to pass on. */
export function given(value: unknown): boolean {
  const condition = conditionOf(value);
  return typeof condition === "boolean" ? condition : (tracer?.truth(condition) ?? true);
}

/** Whether a value is not set. */
export function missing(value: unknown): boolean {
  const condition = conditionOf(value);
  return typeof condition === "boolean" ? !condition : (tracer?.truth(`(not ${condition})`) ?? true);
}

/** Fields with each entry changed. */
export function mapFields<V, W>(
  fields: Record<string, V>,
  change: (entry: [string, V]) => [string, W],
): Record<string, W> {
  return (
    tracer
      ? tracer.mapped(fields, change as (entry: [string, unknown]) => [string, unknown])
      : Object.fromEntries(Object.entries(fields).map(change))
  ) as Record<string, W>;
}

/** All fields, those that exist only for some values too. */
export function allFields<V>(fields: Record<string, V>): Record<string, V> {
  const all: Record<string, V> = {};
  mapFields(fields, ([name, value]) => {
    all[name] = value;
    return [name, value];
  });
  return all;
}

/**
 * `base` with the fields of a configured mapping in it, as `value` changes them, in the order of their names: a template
 * knows no other order. Not those whose name starts with `except`.
 */
export function overridden<B, V, W>(
  base: Record<string, B>,
  by: Record<string, V>,
  value: (value: V) => W,
  except?: string,
): Record<string, B | W> {
  if (tracer) return tracer.overridden(base, by, value as (value: unknown) => unknown, except) as Record<string, B | W>;
  const kept = byName(by).filter(([name]) => except === undefined || !name.startsWith(except));
  return { ...base, ...Object.fromEntries(kept.map(([name, own]) => [name, value(own)])) };
}

/** Texts by their names: the usual ones, and a component's own before them. */
export const bothOf = derivedFields(
  "bothOf",
  (usual: Record<string, string>, own: Record<string, string>): Record<string, string> => ({ ...usual, ...own }),
);

/** A configured mapping with further entries. Without any it is the same one, so that a template knows it. */
export const extended = <V>(mapping: Record<string, V>, by: Record<string, V>): Record<string, V> =>
  Object.keys(by).length > 0 ? { ...mapping, ...by } : mapping;

/** The entries of a mapping in the order of their names. */
export const byName = <V>(mapping: Record<string, V>): [string, V][] =>
  Object.entries(mapping).sort(([a], [b]) => (a < b ? -1 : 1));

/** A list with an item for each field. */
export function listOf<V, I>(fields: Record<string, V>, item: (entry: [string, V]) => I): I[] {
  return (
    tracer ? tracer.listed(fields, item as (entry: [string, unknown]) => unknown) : Object.entries(fields).map(item)
  ) as I[];
}

/** One of two texts, by whether a value is set. */
export function either<T>(value: T, set: (value: Set<T>) => string, unset: () => string): string {
  const condition = conditionOf(value);
  if (typeof condition === "boolean") return condition ? set(value as Set<T>) : unset();
  const texts = [
    under(condition, () => set(tracer?.set(value) as Set<T>)),
    under(`(not ${condition})`, unset),
  ] as const;
  return tracer?.text(condition, ...texts) ?? "";
}

/** The first value, or the second if the first is not set. */
export const firstOf = <A extends string | undefined, B extends string | undefined>(
  first: A,
  second: B,
): Exclude<A, undefined> | B =>
  // The tracer returns an expression, which may be nothing if the second value may.
  (tracer ? tracer.firstOf([first, second]) : (first ?? second)) as Exclude<A, undefined> | B;

/** Texts with a separator between them. Some may be `itemsWhen` or come from a configured list. */
export const joined = (items: readonly string[], separator: string): string =>
  tracer?.joined(items, separator) ?? items.join(separator);

/** The numbers of a workload's replicas, from 0. */
export const ordinals = (count: number): number[] =>
  tracer?.ordinals(count) ?? Array.from({ length: count }, (_, ordinal) => ordinal);

/** The names of a list that are not among `known`, each once. */
export const others = (list: readonly string[], known: readonly string[]): string[] =>
  tracer?.others(list, known) ?? [...new Set(list)].filter((name) => !known.includes(name));

/**
 * The entries of a configured list whose fields have one of some values, each once. `fields`: names with spaces between
 * them, by the names of the fields.
 */
export function entriesWith<E extends object>(list: readonly E[], fields: { [Field in keyof E]?: string }): E[] {
  const given = fields as Record<string, string>;
  if (tracer) return tracer.entriesWith(list, given) as E[];
  return [...new Map(list.map((entry) => [inOrder(entry), entry])).values()].filter((entry) =>
    Object.entries(given).every(([field, names]) =>
      names.split(" ").includes(String((entry as Record<string, unknown>)[field])),
    ),
  );
}

/** A value as JSON with the keys of its blocks in the order of their names. */
export const inOrder = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(byName(inner as Record<string, unknown>))
      : inner,
  );

/** One of several lists, by a configured name. `kind` says what they are lists of. */
export const chosen = <I>(kind: string, lists: Record<string, readonly I[]>, name: string): I[] =>
  (tracer ? tracer.chosen(kind, lists, name) : [...(lists[name] ?? [])]) as I[];

/** Creates something at the first call and returns it at every call. It exists if it does for one of the callers. */
export function once<T>(create: () => T): () => T {
  const callers: { anyOf: Conditions[] } = { anyOf: [] };
  let created: { value: T } | undefined;
  return () => {
    callers.anyOf.push(conditions.getStore() ?? []);
    created ??= { value: tracer ? conditions.run([callers], create) : create() };
    return created.value;
  };
}

/** Runs `program` with a tracer. The program is asynchronous, so one at a time: throws if another is running. */
export async function traced<T>(by: Tracer, program: () => Promise<T>): Promise<T> {
  if (tracer) throw new Error("another program is being traced");
  tracer = by;
  try {
    return await program();
  } finally {
    tracer = undefined;
  }
}
