import { isDeepStrictEqual } from "node:util";
import { immutableValues, valueAt } from "../../config/immutable-fields.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";

/** The fields that make `after` another object than `before`; none where it can be changed in place. */
export function replacedBy(before: KubernetesObject, after: KubernetesObject): string[] {
  return immutableValues(after).flatMap(([path, value]) =>
    isDeepStrictEqual(valueAt(before, path), value) ? [] : [path],
  );
}

export { valueAt as at };
