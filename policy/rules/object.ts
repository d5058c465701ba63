import type { KubeObject } from "../../render/manifests.ts";

/** A Kubernetes object as the API server receives it. */
// biome-ignore lint/suspicious/noExplicitAny: what it holds beyond its metadata depends on its kind
export type KubernetesObject = KubeObject & { [field: string]: any };

// biome-ignore lint/suspicious/noExplicitAny: a pod's specification as plain data
export type PodSpec = any;
// biome-ignore lint/suspicious/noExplicitAny: a container as plain data
export type Container = any;

/** Returns what is wrong with an object, a sentence for each problem. */
export type Rule = (object: KubernetesObject) => string[];

/** The specification, labels and annotations of the pods of an object. Undefined for a kind without pods. */
export function podOf(
  object: KubernetesObject,
): { spec: PodSpec; labels: Record<string, string>; annotations: Record<string, string> } | undefined {
  if (object.kind === "Pod") return { spec: object.spec, ...marks(object.metadata) };
  const template = object.kind === "CronJob" ? object.spec.jobTemplate.spec.template : object.spec?.template;
  return template?.spec?.containers && { spec: template.spec, ...marks(template.metadata) };
}

const marks = (metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }) => ({
  labels: metadata?.labels ?? {},
  annotations: metadata?.annotations ?? {},
});

/** Init containers and containers. */
export const containersOf = (spec: PodSpec): Container[] => [...(spec.initContainers ?? []), ...spec.containers];

/** The containers of an object's pods. */
export const containersIn = (object: KubernetesObject): Container[] => {
  const pod = podOf(object);
  return pod ? containersOf(pod.spec) : [];
};

/** A rule on each container of an object's pods. */
export const perContainer =
  (rule: (container: Container, pod: PodSpec) => string[]): Rule =>
  (object) => {
    const pod = podOf(object);
    return pod
      ? containersOf(pod.spec).flatMap((one) => rule(one, pod.spec).map((problem) => `${one.name}: ${problem}`))
      : [];
  };
