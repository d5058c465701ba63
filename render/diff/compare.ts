import { isDeepStrictEqual } from "node:util";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { keyOf, titleOf } from "../manifests.ts";
import { type FieldChange, fieldChanges } from "./fields.ts";
import { replacedBy } from "./replaces.ts";

/**
 * What would happen to an object, the most drastic first. A Job with a hash of its contents in its name never changes.
 */
export const fates = ["replaced", "removed", "changed", "runs again", "added"] as const;
export type Fate = (typeof fates)[number];

export interface Change {
  fate: Fate;
  /** `StatefulSet dev-core/redis`; without the hash where a Job's name ends in one. */
  title: string;
  kind: string;
  /** Without the values of a Secret: only whether they differ is shown. */
  fields: FieldChange[];
  /** The fields that force a replacement. */
  forcedBy: string[];
  before?: KubernetesObject;
  after?: KubernetesObject;
}

/** The changes of a revision's objects when the other revision is applied. */
export function compare(before: KubernetesObject[], after: KubernetesObject[]): Change[] {
  const [old, fresh] = [byKey(before), byKey(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .flatMap((key) => change(old.get(key), fresh.get(key)) ?? [])
    .sort((a, b) => fates.indexOf(a.fate) - fates.indexOf(b.fate) || (a.title < b.title ? -1 : 1));
}

const byKey = (objects: KubernetesObject[]) =>
  new Map(objects.map((object) => [keyOf(lasting(object)), object] as const));

/** A Job without the hash of its contents at the end of its name. */
function lasting(object: KubernetesObject): KubernetesObject {
  if (object.kind !== "Job") return object;
  return { ...object, metadata: { ...object.metadata, name: object.metadata.name.replace(/-[0-9a-f]{8}$/, "") } };
}

function change(before: KubernetesObject | undefined, after: KubernetesObject | undefined): Change | undefined {
  const some = after ?? before;
  if (!some || isDeepStrictEqual(before, after)) return undefined;
  const again = before && after && before.metadata.name !== after.metadata.name;
  const forcedBy = before && after && !again ? replacedBy(before, after) : [];
  const fate = !before
    ? "added"
    : !after
      ? "removed"
      : again
        ? "runs again"
        : forcedBy.length > 0
          ? "replaced"
          : "changed";
  const [shownBefore, shownAfter] = veiled(before && lasting(before), after && lasting(after));
  return {
    fate,
    title: titleOf(lasting(some)),
    kind: some.kind,
    fields: fieldChanges(shownBefore, shownAfter),
    forcedBy,
    ...(before && { before }),
    ...(after && { after }),
  };
}

/** Both sides of an object. The values of a Secret are replaced by placeholders, which show whether they differ. */
function veiled(before: KubernetesObject | undefined, after: KubernetesObject | undefined) {
  if ((after ?? before)?.kind !== "Secret") return [before, after] as const;
  const old = secretValues(before);
  const veil = (object: KubernetesObject | undefined, placeholder: (key: string, value: string) => string) =>
    object && {
      ...object,
      ...Object.fromEntries(
        ["data", "stringData"]
          .filter((field) => object[field])
          .map((field) => [
            field,
            Object.fromEntries(
              Object.entries<string>(object[field]).map(([key, value]) => [key, placeholder(key, value)] as const),
            ),
          ]),
      ),
    };
  return [
    veil(before, () => "(not shown)"),
    veil(after, (key, value) => (old[key] === undefined || old[key] === value ? "(not shown)" : "(not shown, new)")),
  ] as const;
}

/** The values of a Secret, by key: to compare, never to show. */
export const secretValues = (secret: KubernetesObject | undefined): Record<string, string> => ({
  ...secret?.data,
  ...secret?.stringData,
});
