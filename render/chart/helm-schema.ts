import { type Schema, types } from "./values.ts";

/*
 * `values.schema.json`: the schema of the values, as Helm checks it.
 */

/** Quantities that the chart's templates compute with exactly. */
const quantity = "^(0|[1-9][0-9]{0,5})(\\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$|^[1-9][0-9]{0,8}m$|^[1-9][0-9]{0,15}$";

export function helmSchema(schema: Schema): object {
  const { $defs = {}, ...values } = schema;
  const defs = Object.fromEntries(Object.entries($defs).map(([name, one]) => [name, checked(one)]));
  return { ...checked(values), $defs: defs, $schema: "http://json-schema.org/draft-07/schema#" };
}

/** What a pattern says by looking ahead and back, which Helm's regular expressions do not have, in words of a schema. */
function withoutLooking(pattern: string): Pick<Schema, "pattern" | "minLength" | "maxLength" | "not"> {
  const excluded: string[] = [];
  let [rest, length]: [string, object] = [pattern, {}];
  for (let found = lookahead(rest); found; found = lookahead(rest)) {
    const size = /^\(\?=\.\{(\d+),(\d+)\}\$\)$/.exec(found);
    if (size) length = { minLength: Number(size[1]), maxLength: Number(size[2]) };
    else excluded.push(`^${found.slice("(?!".length, -1)}`);
    rest = `^${rest.slice(1 + found.length)}`;
  }
  const behind = /\(\?<!((?:[^()\\]|\\.)*)\)\$$/.exec(rest);
  if (behind) {
    excluded.push(`${behind[1]}$`);
    rest = `${rest.slice(0, behind.index)}$`;
  }
  const not = excluded.length > 0 && { not: { anyOf: excluded.map((one) => ({ pattern: one })) } };
  return { pattern: rest, ...length, ...not };
}

/** The lookahead at the start of a pattern, with its parentheses. */
function lookahead(pattern: string): string | undefined {
  if (!/^\^\(\?[!=]/.test(pattern)) return undefined;
  let depth = 0;
  for (let at = 1; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === "\\") at++;
    else if (character === "(") depth++;
    else if (character === ")" && --depth === 0) return pattern.slice(1, at + 1);
  }
  return undefined;
}

function checked(schema: Schema): object {
  const { pattern, properties, items, type, additionalProperties, propertyNames, anyOf, ...others } = schema;
  // What the chart's own code needs is not for Helm.
  const { taken: _, form: __, whole: ___, section: ____, ...rest } = others;
  const isQuantity = types(schema).join() === "string,number";
  return {
    ...rest,
    ...(type && { type: isQuantity ? "string" : type }),
    ...(isQuantity && { pattern: quantity }),
    ...(pattern !== undefined && withoutLooking(pattern)),
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([key, inner]) => [
          key,
          // JSON schemas have no messages of their own: Helm prints what it expects here.
          "fixed" in inner ? { const: inner.description } : checked(inner),
        ]),
      ),
      additionalProperties: false,
    }),
    ...(anyOf && { anyOf: anyOf.map((one) => checked(one)) }),
    ...(items && { items: checked(items) }),
    ...(propertyNames && { propertyNames: checked(propertyNames) }),
    ...(!properties &&
      additionalProperties !== undefined && {
        additionalProperties:
          typeof additionalProperties === "object" ? checked(additionalProperties) : additionalProperties,
      }),
  };
}
