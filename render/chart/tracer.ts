import type { Condition, Conditions, Tracer } from "../../config/derived.ts";
import {
  conditional,
  conditionalKey,
  conditionOfKey,
  expressionOf,
  isBlock,
  isSymbolic,
  loopsIn,
  number,
  passed,
  text,
  truth,
} from "./expressions.ts";
import { manyLines, numeric, truths } from "./functions.ts";
import type { Symbolic } from "./values.ts";
import { type Defines, guarded, looped, newLoops, type Writer } from "./write.ts";

/** Turns what the program computes and decides into calls, conditions and loops of templates. */
export function chartTracer(symbolic: Symbolic, writer: Writer, defines: Defines): Tracer {
  /** Lines of a template that append texts to the list `$texts`. */
  const appended = (items: readonly unknown[]): string[] =>
    items.flatMap((item) => {
      const [key = "", value] = isBlock(item) ? (Object.entries(item)[0] ?? []) : [];
      const condition = conditionOfKey(key);
      const own = newLoops([condition ? key : String(item)], []);
      const lines =
        condition && Array.isArray(value)
          ? guarded([condition], appended(value))
          : [`{{- $texts = append $texts ${writer.operand(item)} }}`];
      return looped(own, lines);
    });

  /** Lists that are templates already. */
  const lists = new Set<object>();
  /** The call of the template of a derived function. */
  const called = (name: string, args: readonly unknown[]): string =>
    writer.call(
      name,
      args.map((arg) => {
        if (arg === null || typeof arg !== "object" || expressionOf(arg)) return arg;
        const known = symbolic.operandOf(arg);
        return passed(known ?? `(fromJson ${JSON.stringify(JSON.stringify(arg))})`);
      }),
    );

  return {
    value(name, args, compute) {
      if (name === "checksumOf") {
        const [name, data] = args as [string, Record<string, unknown>];
        const call = writer.share("files", name, data);
        return text(
          `(include "data-platform.checksumOf" (list ${call} ${allKeys(data)
            .map((key) => writer.operand(key))
            .join(" ")}))`,
        );
      }
      if (name === "hashOfWork") {
        const [name, spec, checksums] = args as [string, Record<string, unknown>, Record<string, unknown>];
        const both = `(printf "%s %s" ${writer.share("work", name, spec)} ${writer.share("checksums", name, checksums)})`;
        return text(`(include "data-platform.hash" (list ${both}))`);
      }
      if (!args.some(isSymbolic)) return compute();
      const call = called(name, args);
      if (truths.has(name)) return truth(call);
      if (numeric.has(name)) return number(`(int64 ${call})`);
      return text(call, manyLines.has(name) ? { lines: true } : {});
    },
    derivedFields: (name, args, compute) =>
      args.some(isSymbolic) ? symbolic.fields(`(${called(name, args)} | fromJson)`) : compute(),
    set(value) {
      const of = expressionOf(value);
      if (!of?.optional) return value;
      if (of.json) return passed(of.expression);
      return typeof value === "string" ? text(of.expression) : number(of.expression);
    },
    condition(value) {
      if (value !== null && typeof value === "object") {
        const known = symbolic.conditions.get(value);
        if (known) return known;
      }
      const expression = expressionOf(value);
      if (expression) return expression.expression;
      return Array.isArray(value) ? value.length > 0 : Boolean(value);
    },
    fields: (condition, fields) => (Object.keys(fields).length > 0 ? { [conditionalKey(condition)]: fields } : {}),
    items: (condition, items) => (items.length > 0 ? [{ [conditionalKey(condition)]: items }] : []),
    text: conditional,
    firstOf(values) {
      const given = values.filter((value) => value !== undefined);
      const last = given.at(-1);
      if (!given.some(isSymbolic)) return given[0];
      const optional = given.every((value) => expressionOf(value)?.optional);
      const call = `(coalesce ${given.map((value) => expressionOf(value)?.expression ?? writer.operand(value)).join(" ")})`;
      return last === given[0] ? last : text(call, optional ? { optional } : {});
    },
    joined(items, separator) {
      if (!items.some(isSymbolic)) return items.join(separator);
      return text(
        defines.add("joined", [
          "{{- $texts := list }}",
          ...appended(items),
          `{{- join ${JSON.stringify(separator)} $texts }}`,
        ]),
        separator.includes("\n") ? { lines: true } : {},
      );
    },
    ordinals(count) {
      const expression = expressionOf(count);
      return expression ? symbolic.numbers(expression.expression) : Array.from({ length: count }, (_, i) => i);
    },
    others(list, known) {
      if (!list.some(isSymbolic)) return [...new Set(list)].filter((name) => !known.includes(name));
      const plain = known.filter((name) => typeof name === "string" && !isSymbolic(name));
      return symbolic.without(list, plain.map((name) => JSON.stringify(name)).join(" "));
    },
    mapped: function mapped(fields, change): object {
      return Object.fromEntries(
        Object.entries(fields).map((entry) =>
          conditionOfKey(entry[0]) ? [entry[0], mapped(entry[1] as object, change)] : change(entry),
        ),
      );
    },
    listed: function listed(fields, item): unknown[] {
      return Object.entries(fields).map((entry) =>
        conditionOfKey(entry[0]) ? { [entry[0]]: listed(entry[1] as object, item) } : item(entry),
      );
    },
    overridden(base, by, value, except) {
      const mapping = symbolic.operandOf(by);
      if (!mapping)
        return { ...base, ...Object.fromEntries(Object.entries(by).map(([name, own]) => [name, value(own)])) };
      const known: string[] = [];
      const changed = (fields: object): object =>
        Object.assign(
          {},
          ...Object.entries(fields).map(([name, own]) => {
            if (conditionOfKey(name)) return { [name]: changed(own as object) };
            known.push(name);
            if (except !== undefined && name.startsWith(except)) return { [name]: own };
            const has = `(hasKey ${mapping} ${JSON.stringify(name)})`;
            const other = passed(`(index ${mapping} ${JSON.stringify(name)})`);
            return {
              [conditionalKey(has)]: { [name]: value(other) },
              [conditionalKey(`(not ${has})`)]: { [name]: own },
            };
          }),
        );
      return { ...changed(base), ...symbolic.rest(mapping, known, except, value) };
    },
    rounds: (name) => newLoops([name], []).flatMap(({ variables: [variable] }) => variable ?? []),
    itemsUnder(entries, known) {
      const given = conditionsOf(known);
      return nested(
        entries.map(({ item, conditions = [] }) => ({
          item,
          conditions: conditionsOf(conditions).filter((one) => !given.includes(one)),
        })),
      );
    },
    entriesWith: (list, fields) =>
      symbolic.entriesWith(
        list,
        `(dict ${Object.entries(fields)
          .flatMap(([field, names]) => [writer.operand(field), writer.operand(names)])
          .join(" ")})`,
      ),
    chosen(kind, all, name) {
      if (!lists.has(all)) for (const [key, items] of Object.entries(all)) writer.list(kind, key, items);
      lists.add(all);
      return symbolic.items(`(include (printf "data-platform.${kind}-%s" ${writer.operand(name)}) $ | fromYamlArray)`);
    },
    truth: (condition) => truth(`(not (not ${condition}))`),
    belongs(object, condition) {
      if (object !== null && typeof object === "object") symbolic.conditions.set(object, condition);
    },
  };
}

/** Items under conditions. Those that follow each other and share some are one block, so that a loop has all of a round. */
function nested(entries: readonly { item: unknown; conditions: Condition[] }[]): unknown[] {
  const [first] = entries;
  if (!first) return [];
  const [condition] = first.conditions;
  if (condition === undefined) return [first.item, ...nested(entries.slice(1))];
  const other = entries.findIndex(({ conditions }) => !conditions.includes(condition));
  const block = other < 0 ? entries : entries.slice(0, other);
  const shared = first.conditions.filter((one) => block.every(({ conditions }) => conditions.includes(one)));
  const inner = block.map(({ item, conditions }) => ({
    item,
    conditions: conditions.filter((one) => !shared.includes(one)),
  }));
  const all = shared.length > 1 ? `(and ${shared.join(" ")})` : condition;
  return [{ [conditionalKey(all)]: nested(inner) }, ...nested(entries.slice(block.length))];
}

/** That a loop has a round, in words that hold outside of it too. Other conditions in a loop are for what is in it. */
const outside = (condition: Condition): Condition =>
  (/^\$\w+$/.test(condition) && loopsIn(condition)[0]?.any) || condition;

/** The keys of a block in their order, those of its conditional fields too. */
const allKeys = (block: unknown): string[] =>
  isBlock(block) ? Object.entries(block).flatMap(([key, value]) => (conditionOfKey(key) ? allKeys(value) : [key])) : [];

/** The conditions of an object as conditions of a template; all must hold. */
export function conditionsOf(conditions: Conditions): Condition[] {
  const all = conditions.flatMap((one) => {
    if (typeof one === "string") return [one];
    const alternatives = one.anyOf.map((all) => conditionsOf(all).map(outside));
    if (alternatives.some((alternative) => alternative.length === 0)) return [];
    const distinct = [
      ...new Set(
        alternatives.map((alternative) => (alternative.length > 1 ? `(and ${alternative.join(" ")})` : alternative[0])),
      ),
    ];
    return distinct.length > 1 ? [`(or ${distinct.join(" ")})`] : (alternatives[0] ?? []);
  });
  return [...new Set(all)];
}
