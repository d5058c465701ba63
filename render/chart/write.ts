import { fingerprint } from "../../components/kit/secret.ts";
import type { Condition } from "../../config/derived.ts";
import {
  conditionOfKey,
  contextOf,
  type Expression,
  expressionOf,
  isBlock,
  isSymbolic,
  type Loop,
  loopsIn,
  plainName,
  type Segment,
  segments,
  text,
} from "./expressions.ts";

/*
 * Values with expressions, conditions and loops in them as lines of a template that gives YAML.
 */

type Block = Record<string, unknown>;

/** Named templates that the written ones include: name → lines. */
export class Defines {
  readonly all = new Map<string, string[]>();

  /** Adds a template and returns a call of it. Without a name it has a hash of its lines, so that equal ones are one. */
  add(kind: string, lines: string[], given?: string): string {
    const used = loopsIn(lines.join("\n")).filter(({ over }) => !lines.some((line) => line.includes(`range ${over}`)));
    const variables = used.flatMap((one) => one.variables);
    const name = `data-platform.${kind}-${given ?? fingerprint(lines)}`;
    const known = this.all.get(name);
    if (given && known) throw new Error(`two templates would be called ${name}`);
    this.all.set(name, [...variables.map((variable) => `{{- ${variable} := $.${variable.slice(1)} -}}`), ...lines]);
    return this.call(name, used);
  }

  /** A call of a template, with the variables of loops. */
  call(name: string, loops: readonly Loop[]): string {
    return `(include "${name}" ${contextOf(loops)})`;
  }

  /** The templates as one file. */
  get file(): string {
    return [...this.all]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, lines]) => `{{- define "${name}" -}}\n${lines.join("\n")}\n{{${isText(name) ? "-" : ""} end }}\n`)
      .join("\n");
  }
}

/** Whether a template is a text. In YAML, the line end at the end belongs to the last text. */
const isText = (name: string) => /\.(text|joined)-/.test(name);

export class Writer {
  private readonly defines: Defines;
  /** Calls of the templates that some blocks have become, by their contents. */
  private readonly shared = new Map<string, string>();

  constructor(defines: Defines) {
    this.defines = defines;
  }

  /** A value as an operand of a Go template. */
  operand(value: unknown): string {
    const expression = expressionOf(value);
    if (expression) return expression.expression;
    if (typeof value !== "string") {
      if (isSymbolic(value)) throw new Error(`${JSON.stringify(value)}: expected one value, not a list or a block`);
      return JSON.stringify(value);
    }
    const all = segments(value);
    if (all.every((segment) => typeof segment === "string")) return JSON.stringify(value);
    if (all.some((segment) => typeof segment === "object" && "condition" in segment))
      return this.defines.add("text", [keepingEnds(inline(all))]);
    const format = all.map((segment) => (typeof segment === "string" ? segment.replaceAll("%", "%%") : "%v")).join("");
    const args = all.flatMap((segment) =>
      typeof segment === "object" && "expression" in segment ? [plain(segment)] : [],
    );
    return `(printf ${JSON.stringify(format)} ${args.join(" ")})`;
  }

  /** The call of one of the chart's own templates. */
  call(name: string, args: readonly unknown[]): string {
    return `(include "data-platform.${name}" (list ${args.map((arg) => this.operand(arg)).join(" ")}))`;
  }

  /** Makes a block a template of its own, wherever it is written. Returns the call. */
  share(kind: string, name: string, block: Block): string {
    const active = newLoops([name], []);
    const key = canonical(block);
    const nothing = empty(
      Object.entries(block).map((entry) => existence(entry, active)),
      "{}",
    );
    const lines = [...(nothing ? [nothing.trim()] : []), ...this.fields(block, "", active)];
    const call = this.shared.get(key) ?? this.defines.add(kind, lines, plainName(name));
    this.shared.set(key, call);
    return call;
  }

  /** Makes a list a template of its own. */
  list(kind: string, name: string, items: readonly unknown[]): void {
    this.defines.add(kind, this.items(items, "", []), name);
  }

  /** The lines of a whole object. */
  object(object: Block, active: readonly Loop[]): string[] {
    return this.fields(object, "", active);
  }

  private fields(block: Block, indent: string, active: readonly Loop[]): string[] {
    return Object.entries(block).flatMap(([key, value]) => {
      const condition = conditionOfKey(key);
      if (condition && isBlock(value)) return guarded([condition], this.fields(value, indent, active));
      const own = newLoops([key], active);
      return looped(own, this.entry(`${this.key(key)}:`, value, indent, [...active, ...own]));
    });
  }

  private items(list: readonly unknown[], indent: string, active: readonly Loop[]): string[] {
    return list.flatMap((item) => {
      const own = newLoops(directTexts(item), active);
      const inside = [...active, ...own];
      const [key = "", value] = isBlock(item) ? (Object.entries(item)[0] ?? []) : [];
      const condition = conditionOfKey(key);
      const lines =
        condition && Array.isArray(value)
          ? guarded([condition], this.items(value, indent, inside))
          : this.entry("-", item, indent, inside);
      return looped(own, lines);
    });
  }

  private key(key: string): string {
    if (isSymbolic(key)) return `{{ ${this.operand(key)} | toJson }}`;
    return /^[a-z][\w-]*[a-zA-Z]$/.test(key) && !/^(on|off|yes|no|true|false|null)$/.test(key)
      ? key
      : JSON.stringify(key);
  }

  /** The lines of `key: value`, or with `-` of an item. */
  private entry(head: string, value: unknown, indent: string, active: readonly Loop[]): string[] {
    const expression = expressionOf(value);
    if (expression?.optional) {
      const line = `${indent}${head} {{ ${expression.expression}${typeof value === "string" || expression.json ? " | toJson" : ""} }}`;
      return guarded([expression.expression], [line]);
    }
    if (value === undefined) return [];
    const inner = `${indent}  `;
    if (isBlock(value)) {
      const shared = this.shared.get(canonical(value));
      if (shared) return [`${indent}${head}`, `${inner}{{- ${shared} | nindent ${inner.length} }}`];
      return [
        `${indent}${head}${empty(
          Object.entries(value).map((entry) => existence(entry, active)),
          "{}",
        )}`,
        ...this.fields(value, inner, active),
      ];
    }
    if (Array.isArray(value)) {
      const exists = value.map((item) => existence(asEntry(item), active));
      return [`${indent}${head}${empty(exists, "[]")}`, ...this.items(value, inner, active)];
    }
    return [`${indent}${head} ${this.scalar(value, indent)}`];
  }

  /** A value as YAML. Text with expressions in it is quoted by the template, or by its form as a block. */
  private scalar(value: unknown, indent: string): string {
    const expression = expressionOf(value);
    if (expression && typeof value !== "string")
      return `{{ ${expression.expression}${expression.json ? " | toJson" : ""} }}`;
    if (typeof value !== "string") return JSON.stringify(value);
    // Spaces at a line's end, and empty lines at the ends, would not survive as a block.
    if (/\n./.test(value) && !/^\s|[^\S\n]\n|\n\n$|\t|\r/.test(value)) {
      const lines = inline(segments(value), `${indent}  `).replace(/\n$/, "").split("\n");
      return `|${/\n[\uE005\uE006]*$/.test(value) ? "" : "-"}\n${lines.map((line) => (line ? `${indent}  ${line}` : "")).join("\n")}`;
    }
    return isSymbolic(value) ? `{{ ${this.operand(value)} | toJson }}` : escaped(JSON.stringify(value));
  }
}

/** The JSON of a block with its keys sorted: Pulumi changes their order. */
const canonical = (block: Block): string =>
  JSON.stringify(block, (_, value: unknown) =>
    isBlock(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );

/** An expression in a text, where it cannot be nothing. */
function plain({ expression, optional }: Expression): string {
  if (optional) throw new Error(`${expression}: found an optional value in a text; expected \`either\` or \`when\``);
  return expression;
}

/** Text with expressions and conditions in it, as a template. */
const inline = (all: readonly Segment[], indent = ""): string =>
  all
    .map((segment) => {
      if (typeof segment === "string") return escaped(segment);
      if ("expression" in segment)
        return `{{ ${plain(segment)}${segment.lines && indent ? ` | replace "\\n" "\\n${indent}"` : ""} }}`;
      const otherwise = segment.unset.length > 0 ? `{{ else }}${inline(segment.unset, indent)}` : "";
      return `{{ if ${segment.condition} }}${inline(segment.set, indent)}${otherwise}{{ end }}`;
    })
    .join("");

/** The template of a text, whose define would trim the line ends at its ends. */
const keepingEnds = (template: string): string =>
  template.replace(/^\s+|\s+$/g, (spaces) => `{{ ${JSON.stringify(spaces)} }}`);

/** Plain text in a template. */
const escaped = (text: string) => text.replaceAll("{{", '{{ "{{" }}');

/** Lines that exist if all conditions hold. */
export const guarded = (conditions: readonly Condition[], lines: readonly string[]): string[] =>
  lines.length === 0 || conditions.length === 0
    ? [...lines]
    : [`{{- if ${conditions.length > 1 ? `and ${conditions.join(" ")}` : conditions[0]} }}`, ...lines, "{{- end }}"];

/** Lines that exist for each round of the loops. */
export const looped = (loops: readonly Loop[], lines: readonly string[]): string[] => [
  ...loops.flatMap(({ over, prepare }) => [`{{- range ${over} }}`, ...prepare]),
  ...lines,
  ...loops.map(() => "{{- end }}"),
];

const expressions = (all: readonly Segment[]): string[] =>
  all.flatMap((segment) => {
    if (typeof segment === "string") return [];
    if ("expression" in segment) return [segment.expression];
    return [segment.condition, ...expressions(segment.set), ...expressions(segment.unset)];
  });

/** The loops of texts that are not active yet. */
export const newLoops = (texts: readonly string[], active: readonly Loop[]): Loop[] => [
  ...new Set(
    texts
      .flatMap((text) => conditionOfKey(text) ?? expressions(segments(text)))
      .flatMap(loopsIn)
      .flatMap(withOuter)
      .filter((one) => !active.includes(one)),
  ),
];

/** A loop after those in which it is. */
const withOuter = (one: Loop): Loop[] => [
  ...loopsIn(one.over)
    .filter((outer) => outer !== one)
    .flatMap(withOuter),
  one,
];

/** The texts and conditions of an item, without those of the lists in it. */
function directTexts(item: unknown): string[] {
  if (typeof item === "string") return [item];
  const expression = expressionOf(item);
  if (expression) return [`${JSON.stringify(item)}`];
  if (!isBlock(item)) return [];
  return Object.entries(item).flatMap(([key, value]) => {
    if (conditionOfKey(key)) return [key, ...(Array.isArray(value) ? value.flatMap(directTexts) : directTexts(value))];
    // A configured mapping is a loop over fields. The item is in those around it.
    const own = isSymbolic(key) ? newLoops([key], []) : [];
    return own.length > 0 ? own.map(({ over }) => text(over.replace(/^.* := /, ""))) : [key, ...directTexts(value)];
  });
}

/** An item of a list as an entry: what exists under a condition has that as its key. */
function asEntry(item: unknown): [string, unknown] {
  const [first] = isBlock(item) ? Object.entries(item) : [];
  return first && conditionOfKey(first[0]) && Array.isArray(first[1]) ? first : ["", item];
}

/** When an entry exists: undefined if always. */
function existence([key, value]: [string, unknown], active: readonly Loop[] = []): Condition | undefined {
  const [own] = newLoops([key, ...(key === "" ? directTexts(value) : [])], active);
  if (own) return own.any;
  const condition = conditionOfKey(key);
  if (condition) {
    const inner = isBlock(value)
      ? Object.entries(value).map((entry) => existence(entry, active))
      : Array.isArray(value)
        ? value.map((item) => existence(asEntry(item), active))
        : [];
    const always = inner.length === 0 || inner.includes(undefined);
    return always ? condition : `(and ${condition} ${inner.length > 1 ? `(or ${inner.join(" ")})` : inner[0]})`;
  }
  const expression = expressionOf(value);
  return expression?.optional ? expression.expression : undefined;
}

/** What follows the key of a block or list, so that it is not null without its conditional entries. */
function empty(exists: readonly (Condition | undefined)[], nothing: string): string {
  if (exists.length === 0) return ` ${nothing}`;
  if (exists.some((condition) => condition === undefined || exists.includes(`(not ${condition})`))) return "";
  const any = exists.length > 1 ? `(or ${exists.join(" ")})` : exists[0];
  return `{{ if not ${any} }} ${nothing}{{ end }}`;
}
