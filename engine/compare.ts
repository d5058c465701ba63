import { fixedReplicas, resizes } from "../config/fixed-replicas.ts";
import { bytes } from "../config/quantity.ts";
import type { Live } from "../kube/client.ts";
import type { KubeObject } from "../render/manifests.ts";

/** Fields that the server keeps for itself: they change without anything having changed. */
const bookkeeping = new Set(["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"]);

/** Paths at which two states of an object differ, never what stands there. */
export function changedPaths(before: KubeObject, after: KubeObject): string[] {
  const found: string[] = [];
  const contents = ({ status: _status, metadata, ...rest }: KubeObject) => ({
    ...rest,
    metadata: Object.fromEntries(Object.entries(metadata).filter(([field]) => !bookkeeping.has(field))),
  });
  walk(contents(before), contents(after), "", found);
  return found;
}

function walk(a: unknown, b: unknown, path: string, found: string[]): void {
  const [left, right] = [fields(a), fields(b)];
  if (!left || !right) {
    if (JSON.stringify(a) !== JSON.stringify(b)) found.push(path);
    return;
  }
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    // A key with dots, like a file in a ConfigMap, is bracketed, and so is an item of a list.
    const step = Array.isArray(a) || /[./]/.test(key) ? `${path}[${key}]` : `${path}${path && "."}${key}`;
    if (!left.has(key) || !right.has(key)) found.push(step);
    else walk(left.get(key), right.get(key), step, found);
  }
}

/** The fields of an object or the items of a list, those by their name where they have one. */
function fields(value: unknown): Map<string, unknown> | undefined {
  if (value === null || typeof value !== "object") return undefined;
  if (!Array.isArray(value)) return new Map(Object.entries(value));
  const named = new Map(value.map((item, i) => [String((item as { name?: string } | null)?.name ?? i), item]));
  return named.size === value.length ? named : new Map(value.map((item, i) => [String(i), item]));
}

/** Fields that the API server refuses to change, and the value it fills in where none is given. */
const fixed: Record<string, Record<string, unknown>> = {
  StatefulSet: {
    "spec.selector": undefined,
    "spec.serviceName": undefined,
    "spec.podManagementPolicy": "OrderedReady",
    "spec.volumeClaimTemplates": undefined,
  },
  Deployment: { "spec.selector": undefined },
  DaemonSet: { "spec.selector": undefined },
  Job: { "spec.template": undefined, "spec.completions": undefined },
  Service: { "spec.clusterIP": undefined },
  RoleBinding: { roleRef: undefined },
  ClusterRoleBinding: { roleRef: undefined },
  Secret: { type: "Opaque" },
  ConfigMap: { immutable: undefined },
  PersistentVolumeClaim: {
    "spec.storageClassName": undefined,
    "spec.accessModes": undefined,
    "spec.volumeMode": undefined,
  },
};

/**
 * The kinds that can be deleted and made again without losing data: a StatefulSet's volumes are claims of their own.
 * Its pods go first and come back after it, as with Pulumi: pods left running under a StatefulSet that no longer
 * knows them could write to a volume together with their successors.
 */
const replaceable = new Set(Object.keys(fixed).filter((kind) => kind !== "PersistentVolumeClaim"));

/** The first field of a live object that would have to change and cannot; undefined when there is none. */
export function fixedChange(live: KubeObject, desired: KubeObject): string | undefined {
  return Object.entries(fixed[desired.kind] ?? {}).find(([path, fallback]) => {
    const wanted = at(desired, path) ?? fallback;
    const has = at(live, path) ?? fallback;
    if (wanted !== undefined) return !within(wanted, has);
    // Nothing asked for: a value that the server chose is fine, one that we once asked for is not.
    return path === "spec.volumeClaimTemplates" && has !== undefined;
  })?.[0];
}

export const canReplace = (object: KubeObject): boolean => replaceable.has(object.kind);

const at = (object: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);

/** Whether everything that is wanted is there; the server adds defaults and drops what is empty. */
function within(wanted: unknown, has: unknown): boolean {
  if (has === undefined) return wanted === "" || wanted === false || wanted === 0 || isEmpty(wanted);
  if (Array.isArray(wanted))
    return Array.isArray(has) && wanted.length === has.length && wanted.every((item, i) => within(item, has[i]));
  if (wanted !== null && typeof wanted === "object")
    return (
      typeof has === "object" &&
      Object.entries(wanted).every(([key, value]) => within(value, (has as Record<string, unknown>)[key]))
    );
  return wanted === has;
}

const isEmpty = (value: unknown) => value === null || (typeof value === "object" && Object.keys(value).length === 0);

/** The size of the volumes that are asked for, by a claim or through an operator. */
const requested = (object: KubeObject) => at(object, volumes[object.kind] ?? "") as string | undefined;
const volumes: Record<string, string> = {
  PersistentVolumeClaim: "spec.resources.requests.storage",
  Cluster: "spec.storage.size",
};

/** The stack's configuration key that an object's size comes from, which the program notes on volumes. */
export const configKey = (object: KubeObject): string | undefined =>
  object.metadata.annotations?.["data-platform/config-key"];

/** The key of a number of pods that cannot be changed, and why it is refused; undefined where it stays or may change. */
export function resized(live: KubeObject, desired: KubeObject): string | undefined {
  const key = desired.metadata.annotations?.[fixedReplicas];
  const problem = key && resizes(at(live, "spec.replicas") as number, at(desired, "spec.replicas") as number);
  return problem && `${key}: ${problem}`;
}

/** Why a volume cannot be made as small as asked; undefined when it is not smaller. */
export function shrinks(live: Live, desired: KubeObject): string | undefined {
  if (!volumes[desired.kind]) return undefined;
  const [before, after] = [requested(live), requested(desired)];
  return bytes(after ?? "") < bytes(before ?? "")
    ? `found ${after}; expected at least ${before}, the size of the volume that exists: volumes never shrink`
    : undefined;
}
