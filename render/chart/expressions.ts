import type { Condition } from "../../config/derived.ts";

/*
 * Expressions of a Helm template in place of configured values. In a text, an expression is a mark: two private
 * characters around its number, which concatenation and JSON keep. A number is an object that is a mark in a text and
 * in JSON; arithmetic and comparisons with it throw, since their result would be wrong without notice.
 */

const [open, close, object] = ["\uE000", "\uE001", "\uE002"];
const [condition, set, unset, end] = ["\uE003", "\uE004", "\uE005", "\uE006"];
const privateUse = /[\uE000-\uE006]/;
const mark = new RegExp(`${open}(\\d+)${close}|\\{"${object}":(\\d+)\\}`, "g");

/** An expression: an operand of a Go template, in parentheses if it is a call. */
export interface Expression {
  expression: string;
  /** Whether it may be nothing. Then it is a whole field, which does not exist in that case. */
  optional?: boolean;
  /** Whether it may have several lines. */
  lines?: boolean;
  /** Whether it is written as JSON: a list or a mapping that the program only passes on. */
  json?: boolean;
}

/** The expressions by their numbers, each once. */
const known: Expression[] = [];
const numbers = new Map<string, number>();

function numberOf(of: Expression): number {
  const key = JSON.stringify(of);
  const number = numbers.get(key) ?? known.push(of) - 1;
  numbers.set(key, number);
  return number;
}

const byNumber = (text: string | undefined): Expression => {
  const found = known[Number(text)];
  if (!found) throw new Error(`no expression has the number ${text}`);
  return found;
};

/** A text that is only known in the template. */
export const text = (expression: string, of: Omit<Expression, "expression"> = {}): string =>
  `${open}${numberOf({ expression, ...of })}${close}`;

/** A number, a truth, a list or a mapping that is only known in the template. */
class TemplateValue {
  constructor(of: Expression) {
    Object.defineProperty(this, object, { value: numberOf(of), enumerable: true });
  }

  [Symbol.toPrimitive](hint: string): string {
    const { expression = "", ...of } = expressionOf(this) ?? {};
    if (hint === "string") return text(`(toString ${expression})`, of);
    throw new Error(`the program computes with ${expression}; expected a function of config/derived.ts`);
  }
}

/** The type says what the program takes it for. */
const value = <T>(of: Expression): T => new TemplateValue(of) as unknown as T;

export const number = (expression: string, of: Omit<Expression, "expression"> = {}): number =>
  value({ expression, ...of });
export const truth = (expression: string): boolean => value({ expression });
/** A value that the program may only pass on. */
export const passed = (expression: string, of: Omit<Expression, "expression"> = {}): unknown =>
  value({ expression, json: true, ...of });

/** The expression that a value is, as the mark or the object or as Pulumi copied it; undefined if it is anything else. */
export function expressionOf(of: unknown): Expression | undefined {
  if (typeof of === "string") {
    const whole = /^\uE000(\d+)\uE001$/.exec(of);
    return whole ? byNumber(whole[1]) : undefined;
  }
  if (of === null || typeof of !== "object") return undefined;
  const found: unknown = (of as Record<string, unknown>)[object];
  return typeof found === "number" ? byNumber(String(found)) : undefined;
}

/** A segment of a text: plain text, an expression, or two texts of which a condition decides. */
export type Segment = string | Expression | { condition: Condition; set: Segment[]; unset: Segment[] };

export const conditional = (of: Condition, yes: string, no: string): string =>
  `${condition}${numberOf({ expression: of })}${set}${yes}${unset}${no}${end}`;

/** The segments of a text in their order. Throws if the program cut or changed an expression. */
export function segments(whole: string): Segment[] {
  const changed = () => new Error(`the program cut or changed a configured value in ${JSON.stringify(whole)}`);
  const plain = (of: string): Segment[] => {
    const result: Segment[] = [];
    let done = 0;
    for (const match of of.matchAll(mark)) {
      result.push(of.slice(done, match.index), byNumber(match[1] ?? match[2]));
      done = match.index + match[0].length;
    }
    const all = [...result, of.slice(done)].filter((segment) => segment !== "");
    if (all.some((segment) => typeof segment === "string" && privateUse.test(segment))) throw changed();
    return all;
  };
  /** Segments from `start` to the character `until`, and the position behind it. */
  const read = (start: number, until: string): [Segment[], number] => {
    const result: Segment[] = [];
    let from = start;
    for (let at = start; at < whole.length; at++) {
      if (whole[at] === until) return [[...result, ...plain(whole.slice(from, at))], at + 1];
      if (whole[at] !== condition) continue;
      result.push(...plain(whole.slice(from, at)));
      const head = whole.indexOf(set, at);
      const [yes, middle] = read(head + 1, unset);
      const [no, behind] = read(middle, end);
      result.push({ condition: byNumber(whole.slice(at + 1, head)).expression, set: yes, unset: no });
      from = behind;
      at = behind - 1;
    }
    if (until !== "") throw changed();
    return [[...result, ...plain(whole.slice(from))], whole.length];
  };
  return read(0, "")[0];
}

export const isSymbolic = (of: unknown): boolean =>
  typeof of === "string"
    ? privateUse.test(of)
    : of !== null &&
      typeof of === "object" &&
      (expressionOf(of) !== undefined ||
        Object.entries(of).some(([key, value]) => isSymbolic(key) || isSymbolic(value)));

/** Whether a value is a block of fields. An expression is not. */
export const isBlock = (of: unknown): of is Record<string, unknown> =>
  of !== null && typeof of === "object" && !Array.isArray(of) && expressionOf(of) === undefined;

let conditions = 0;
/** The key of fields that exist under a condition. */
export const conditionalKey = (of: Condition): string =>
  `${condition}${numberOf({ expression: of })}${set}${conditions++}${end}`;

/** The condition of a key made by `conditionalKey`; undefined for other keys. */
export const conditionOfKey = (key: string): Condition | undefined =>
  key.startsWith(condition) ? byNumber(key.slice(1, key.indexOf(set))).expression : undefined;

/** A loop of a template over a list or a mapping. Its variables have unique names, by which it is found. */
export interface Loop {
  variables: string[];
  /** What follows `range`. */
  over: string;
  /** Lines at the start of each round. */
  prepare: string[];
  /** An operand that is true if there is at least one round. */
  any: string;
}

const loops = new Map<string, Loop>();

export function loop(of: Loop): Loop {
  for (const variable of of.variables) loops.set(variable, of);
  return of;
}

/** The loops whose variables an expression has. */
export const loopsIn = (expression: string): Loop[] => [
  ...new Set([...expression.matchAll(/\$\w+/g)].flatMap(([variable]) => loops.get(variable) ?? [])),
];

/** What a named template is called with, so that it has the loops' variables: `$` outside of loops. */
export const contextOf = (of: readonly Loop[]): string =>
  of.length === 0
    ? "$"
    : `(dict "Values" $.Values "Release" $.Release ${of
        .flatMap(({ variables }) => variables.map((variable) => `"${variable.slice(1)}" ${variable}`))
        .join(" ")})`;

/** A name with words in place of its expressions: for a file or a template. */
export const plainName = (name: string): string =>
  segments(name)
    .map((segment) => {
      if (typeof segment === "string") return segment;
      const expression = "expression" in segment ? segment.expression : segment.condition;
      return /\$([a-z]+)\d/.exec(expression)?.[1] ?? "x";
    })
    .join("");
