import type { Condition } from "../../config/derived.ts";
import { conditionalKey, loop, number, passed, text, truth } from "./expressions.ts";

/** A JSON schema of the configuration. */
export interface Schema {
  type?: string | string[];
  enum?: unknown[];
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  minimum?: number;
  maximum?: number;
  pattern?: string;
  maxLength?: number;
  minLength?: number;
  description?: string;
  not?: object;
  propertyNames?: Schema;
  additionalProperties?: Schema | boolean;
  $ref?: string;
  $defs?: Record<string, Schema>;
  /** Names that the platform sets itself, among those of a mapping. */
  taken?: readonly string[];
  /** Of settings: what a name is, and what names a password, as patterns. */
  form?: { name: string; example: string; reference: string; passwords: string };
  /** Whether the program hands the block to a template as it is. */
  whole?: boolean;
  /** The section of the reference page that describes its keys. */
  section?: string;
  /** The value of a key that the chart does not have. */
  fixed?: unknown;
}

/** Configurations with expressions in place of their values. */
export class Symbolic {
  /** The condition that a list, a mapping or a block is set. */
  readonly conditions = new WeakMap<object, Condition>();
  /** What lists and mappings are: operands. */
  private readonly lists = new WeakMap<object, string>();
  /** Schemas of the items of lists. */
  private readonly schemas = new WeakMap<object, Schema>();
  private count = 0;

  /** The value of `schema` at the operand `at`. `optional`: it may be missing. */
  value(schema: Schema, at: string, optional = false): unknown {
    if ("fixed" in schema) return schema.fixed;
    if (schema.whole) return passed(at, optional ? { optional } : {});
    if (schema.properties) return this.block(schema, at, optional);
    const [type] = types(schema);
    const of = optional ? { optional } : {};
    if (schema.anyOf || type === undefined) return passed(at, of);
    if (type === "array") return this.list(schema.items ?? {}, at);
    if (type === "object") return this.mapping(schema, at);
    if (type === "boolean") return truth(at);
    if (type === "integer") return number(`(int64 ${at})`, of);
    return text(at, of);
  }

  private block(schema: Schema, at: string, optional: boolean): object {
    const block = Object.fromEntries(
      Object.entries(schema.properties ?? {}).flatMap(([key, inner]) =>
        inner.not ? [] : [[key, this.value(inner, `${at}.${key}`, isOptional(schema, key, inner))]],
      ),
    );
    // An empty block is set too, although Helm takes it for false.
    if (optional) this.conditions.set(block, `(kindIs "map" ${at})`);
    return block;
  }

  private list(item: Schema, at: string): unknown[] {
    const variable = `$item${this.count++}`;
    loop({ variables: [variable], over: `${variable} := ${at}`, prepare: [], any: at });
    const list = [this.value(item, variable)];
    this.conditions.set(list, at);
    this.lists.set(list, at);
    this.schemas.set(list, item);
    return list;
  }

  /** The entries of a list whose fields have some values. */
  entriesWith(list: readonly object[], fields: string): object[] {
    const [at, item] = [this.lists.get(list), this.schemas.get(list)];
    if (!at || !item)
      throw new Error(`entriesWith: expected a list of the configuration; found ${JSON.stringify(list)}`);
    return this.list(item, `(include "data-platform.entriesWith" (list ${at} ${fields}) | fromJsonArray)`) as object[];
  }

  /** The items of a list that only the template knows. */
  items(list: string): unknown[] {
    return this.list({}, list);
  }

  private mapping({ additionalProperties }: Schema, at: string): object {
    if (typeof additionalProperties !== "object") return {};
    const [name, value] = [`$name${this.count}`, `$value${this.count++}`];
    const defaults = additionalProperties.properties && JSON.stringify(defaultsOf(additionalProperties));
    loop({
      variables: [name, value],
      over: `${name}, ${value} := ${at}`,
      prepare: defaults ? [`{{- ${value} = mergeOverwrite (fromJson ${JSON.stringify(defaults)}) ${value} }}`] : [],
      any: at,
    });
    const mapping = { [text(name)]: this.value(additionalProperties, value) };
    this.conditions.set(mapping, at);
    this.lists.set(mapping, at);
    return mapping;
  }

  /** What a list or a mapping is: an operand. Undefined if it is not of the configuration. */
  operandOf(of: object): string | undefined {
    return this.lists.get(of);
  }

  /** The entries of a mapping but those of `known` and those whose name starts with `except`. */
  rest(mapping: string, known: string[], except: string | undefined, change: (value: unknown) => unknown): object {
    const [name, value] = [`$name${this.count}`, `$value${this.count++}`];
    const over = known.length > 0 ? `(omit ${mapping} ${known.map((one) => JSON.stringify(one)).join(" ")})` : mapping;
    loop({ variables: [name, value], over: `${name}, ${value} := ${over}`, prepare: [], any: over });
    const entry = { [text(name)]: change(passed(value)) };
    return except ? { [conditionalKey(`(not (hasPrefix ${JSON.stringify(except)} ${name}))`)]: entry } : entry;
  }

  /** The fields of a mapping that a template gives. */
  fields(mapping: string): object {
    const fields = this.rest(mapping, [], undefined, (value) => value);
    this.lists.set(fields, mapping);
    this.conditions.set(fields, mapping);
    return fields;
  }

  /** The numbers from 0 to below a number. */
  numbers(count: string): number[] {
    const variable = `$ordinal${this.count++}`;
    const over = `(until (int ${count}))`;
    loop({ variables: [variable], over: `${variable} := ${over}`, prepare: [], any: over });
    return [number(`(int64 ${variable})`)];
  }

  /** A list of texts without some. */
  without(list: readonly string[], known: string): string[] {
    const of = this.lists.get(list);
    if (!of) throw new Error(`others: expected a list of the configuration; found ${JSON.stringify(list)}`);
    const variable = `$other${this.count++}`;
    const over = `(without (uniq ${of}) ${known})`;
    loop({ variables: [variable], over: `${variable} := ${over}`, prepare: [], any: over });
    return [text(variable)];
  }
}

export const isOptional = (block: Schema, key: string, { default: byDefault }: Schema): boolean =>
  byDefault === undefined && !block.required?.includes(key);

export const types = ({ type = [] }: Schema): string[] => (Array.isArray(type) ? type : [type]);

/** Whether a schema is of a block with known keys, and not of a mapping. */
export const isBlockOf = ({ properties }: Schema): boolean => properties !== undefined;

/** The defaults of a block's keys, as a stack that gives none has them. */
export function defaultsOf(schema: Schema): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
      if ("fixed" in inner) return [];
      if (inner.properties && inner.default !== undefined) return [[key, defaultsOf(inner)]];
      return inner.default === undefined ? [] : [[key, inner.default]];
    }),
  );
}
