import { isDeepStrictEqual } from "node:util";
import { immutableValues, valueAt } from "../../config/immutable-fields.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";

/** The immutable fields that differ, which force a replacement; none if the object can be changed in place. */
export function replacedBy(before: KubernetesObject, after: KubernetesObject): string[] {
  return immutableValues(after).flatMap(([path, value]) =>
    isDeepStrictEqual(valueAt(before, path), value) ? [] : [path],
  );
}

export { valueAt as at };
