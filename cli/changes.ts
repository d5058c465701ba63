import type { StepEventMetadata } from "@pulumi/pulumi/automation/events.js";
import { changeLines, type FieldChange, fieldChanges } from "../render/diff/fields.ts";
import { type KubeObject, titleOf } from "../render/manifests.ts";

/** The change of one resource. */
export interface Change {
  fate: "create" | "update" | "replace" | "delete";
  /** `StatefulSet dev-core/redis`, or type and name if it is not a Kubernetes object. */
  title: string;
  /** The fields that differ. Empty for a creation and a deletion. */
  fields: FieldChange[];
  /** The fields that cannot be changed in place. */
  forcedBy: string[];
  /** It is removed from the state and stays in the cluster. */
  retained: boolean;
}

const fates: Record<string, Change["fate"]> = {
  create: "create",
  update: "update",
  // A replacement has three steps; this one has the old and the new inputs.
  replace: "replace",
  delete: "delete",
};

/** The Kubernetes object of a step; undefined for any other resource. */
export function objectOf({ type, old, new: fresh }: StepEventMetadata): KubeObject | undefined {
  const inputs = (fresh ?? old)?.inputs as KubeObject | undefined;
  return type.startsWith("kubernetes:") && inputs?.kind && inputs.metadata?.name ? inputs : undefined;
}

/** The name of a resource in messages. */
export function nameOfStep(metadata: StepEventMetadata): string {
  const object = objectOf(metadata);
  return object ? titleOf(object) : nameOfUrn(metadata.urn);
}

/** `RandomPassword redis-admin`, from its URN. */
export function nameOfUrn(urn: string): string {
  const [, , types = "", ...name] = urn.split("::");
  const type = types.startsWith("pulumi:providers:") ? "provider" : types.split(":").at(-1);
  return `${type} ${name.join("::")}`;
}

/** The change that a step makes; undefined if a reader need not know it. */
export function changeOf(metadata: StepEventMetadata): Change | undefined {
  const { op, type, old, new: fresh } = metadata;
  const fate = fates[op];
  const custom = (fresh ?? old)?.custom;
  if (!fate || !custom) return undefined;
  // Providers are created and deleted with the stack; only their changes are worth a line.
  if (type.startsWith("pulumi:") && fate !== "update" && fate !== "replace") return undefined;
  const detailed = Object.entries(metadata.detailedDiff ?? {});
  const changed = fate === "update" || fate === "replace" ? fieldChanges(old?.inputs, fresh?.inputs) : [];
  const forced = detailed.filter(([, { diffKind }]) => diffKind.endsWith("-replace")).map(([path]) => path);
  return {
    fate,
    title: nameOfStep(metadata),
    // Only the engine knows fields that differ in the cluster alone, or are secret on both sides.
    fields: changed.length > 0 ? changed : detailed.map(([path]) => ({ path })),
    forcedBy: forced.length > 0 ? forced : (metadata.keys ?? []),
    retained: fate === "delete" && (old?.retainOnDelete ?? false),
  };
}

const marks = { create: "+", update: "~", replace: "±", delete: "-" };

/** A change as lines: operation and object, and with `detailed` the contents of its fields before and after. */
export function linesOf(change: Change, words: Record<Change["fate"], string>, detailed = false): string[] {
  const { fate, title, fields, forcedBy, retained } = change;
  const paths = forcedBy.length > 0 && fate === "replace" ? forcedBy : fields.map(({ path }) => path);
  const some = `${paths.slice(0, 6).join(", ")}${paths.length > 6 ? ", …" : ""}`;
  const what = some && `: ${some}${fate === "replace" ? " cannot be changed in place" : ""}`;
  const left = retained ? ", and left in the cluster, as configured" : "";
  const line = `${marks[fate]} ${words[fate]} ${title}${what}${left}`;
  if (!detailed) return [line];
  return [
    line,
    ...fields
      .filter(({ before, after }) => before !== undefined || after !== undefined)
      .flatMap((field) => [`    ${field.path}`, ...changeLines(field).map((text) => `      ${text}`)]),
  ];
}

export const done = { create: "created", update: "updated", replace: "replaced", delete: "deleted" };
export const planned = { create: "create", update: "update", replace: "replace", delete: "delete" };

/** How many of each, by the engine's own count: `2 updated, 49 unchanged`. */
export function counted(counts: Record<string, number | undefined>, words: Record<Change["fate"], string>): string {
  const all = [...Object.values(fates).map((fate) => [fate, words[fate]] as const), ["same", "unchanged"] as const];
  const some = all.flatMap(([op, word]) => (counts[op] ? [`${counts[op]} ${word}`] : []));
  return some.join(", ") || "nothing to do";
}
