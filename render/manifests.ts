import type { Conditions } from "../config/derived.ts";
import type { Evaluation, Resource } from "./evaluate.ts";

/** A Kubernetes object as the API takes it. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

/** One object of the program, with its options for an engine. */
export interface Manifest {
  /** Names the object in the whole cluster, version aside: `StatefulSet.apps dev-core/redis`. */
  key: string;
  urn: string;
  object: KubeObject;
  /** Keys of the objects that must exist and be ready before. */
  dependsOn: string[];
  protect: boolean;
  retainOnDelete: boolean;
  /** The object belongs to others and only these fields to the stack: it is never deleted. */
  patch: boolean;
  /** Under which values it exists. Only while the Helm chart is written. */
  conditions?: Conditions;
}

type Identified = Pick<KubeObject, "apiVersion" | "kind" | "metadata">;

export function keyOf({ apiVersion, kind, metadata: { namespace, name } }: Identified): string {
  const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0]}` : "";
  return `${kind}${group} ${namespace ? `${namespace}/` : ""}${name}`;
}

/** The name of an object in messages: `StatefulSet dev-core/redis`. */
export const titleOf = ({ kind, metadata: { namespace, name } }: Identified): string =>
  `${kind} ${namespace ? `${namespace}/` : ""}${name}`;

/** In which order kinds can be applied when nothing else is known. Two digits; gaps for kinds to come. */
const ranks: Record<string, number> = {
  Namespace: 5,
  CustomResourceDefinition: 6,
  PriorityClass: 7,
  StorageClass: 8,
  ResourceQuota: 10,
  LimitRange: 11,
  NetworkPolicy: 12,
  ServiceAccount: 20,
  ClusterRole: 21,
  Role: 22,
  ClusterRoleBinding: 23,
  RoleBinding: 24,
  Secret: 30,
  ConfigMap: 40,
  PersistentVolume: 44,
  PersistentVolumeClaim: 45,
  Service: 50,
  PodDisruptionBudget: 55,
  Cluster: 58,
  StatefulSet: 60,
  Deployment: 61,
  DaemonSet: 62,
  HorizontalPodAutoscaler: 65,
  Job: 70,
  CronJob: 75,
  Ingress: 80,
};
export const rankOf = ({ kind }: { kind: string }): number => ranks[kind] ?? 90;

/** The prefix of annotations for an engine, which a cluster ignores. */
const forEngines = "pulumi.com/";

/**
 * The Kubernetes objects of a program, each after everything it depends on. The order depends on nothing but the
 * objects: neither on the order they were registered in nor on the machine.
 */
export function manifests({ resources }: Evaluation): Manifest[] {
  const byUrn = new Map(resources.map((resource) => [resource.urn, resource]));
  const children = new Map<string, Resource[]>();
  for (const resource of resources) {
    const parent = resource.options.parent ?? "";
    children.set(parent, [...(children.get(parent) ?? []), resource]);
  }
  const keys = new Map(resources.filter(isObject).map((resource) => [resource.urn, keyOf(asObject(resource))]));

  /** The objects of a dependency: itself, a component's children, or the dependencies of a generated value. */
  const meant = (urn: string, seen: Set<string>): string[] => {
    const resource = byUrn.get(urn);
    if (!resource || seen.has(urn)) return [];
    seen.add(urn);
    const key = keys.get(urn);
    if (key) return [key];
    const within = (children.get(urn) ?? []).flatMap((child) => meant(child.urn, seen));
    return [...within, ...resource.options.dependencies.flatMap((dependency) => meant(dependency, seen))];
  };

  const known = new Set(keys.values());
  const all = resources.filter(isObject).map((resource): Manifest => {
    const object = asObject(resource);
    const key = keyOf(object);
    const namespace = object.metadata.namespace && `Namespace ${object.metadata.namespace}`;
    const dependsOn = new Set([
      ...(namespace ? [namespace] : []),
      ...resource.options.dependencies.flatMap((dependency) => meant(dependency, new Set([resource.urn]))),
    ]);
    dependsOn.delete(key);
    return {
      key,
      urn: resource.urn,
      object: withoutEngineAnnotations(object),
      dependsOn: [...dependsOn].filter((dependency) => known.has(dependency)).sort(),
      protect: resource.options.protect,
      retainOnDelete: resource.options.retainOnDelete,
      patch: resource.type.endsWith("Patch"),
      ...(resource.conditions && { conditions: resource.conditions }),
    };
  });
  const twice = all.find(({ key }, i) => all.findIndex((other) => other.key === key) !== i);
  if (twice) throw new Error(`the program makes ${twice.key} twice`);
  return ordered(all);
}

/** Kahn's algorithm; of those that could come next, the lowest kind, then name. */
function ordered(all: Manifest[]): Manifest[] {
  const waiting = [...all].sort(
    (a, b) => rankOf(a.object) - rankOf(b.object) || (a.key < b.key ? -1 : Number(a.key > b.key)),
  );
  const done = new Set<string>();
  const result: Manifest[] = [];
  while (waiting.length > 0) {
    const next = waiting.findIndex(({ dependsOn }) => dependsOn.every((dependency) => done.has(dependency)));
    if (next < 0)
      throw new Error(`these objects wait for each other: ${waiting.map((manifest) => manifest.key).join(", ")}`);
    for (const manifest of waiting.splice(next, 1)) {
      done.add(manifest.key);
      result.push(manifest);
    }
  }
  return result;
}

const isObject = (resource: Resource): boolean => resource.custom && resource.type.startsWith("kubernetes:");

function asObject({ type, name, inputs }: Resource): KubeObject {
  const object = inputs as KubeObject;
  // Pulumi would generate a random name, to which nothing could refer.
  if (!object.kind || !object.metadata?.name)
    throw new Error(`${type} ${name} has no kind or no explicit metadata.name`);
  return object;
}

function withoutEngineAnnotations(object: KubeObject): KubeObject {
  const { annotations, ...metadata } = object.metadata;
  const kept = Object.entries(annotations ?? {}).filter(([key]) => !key.startsWith(forEngines));
  return { ...object, metadata: { ...metadata, ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }) } };
}
