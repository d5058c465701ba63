import type { KubeObject } from "../../render/manifests.ts";

/** A Kubernetes object as it is sent to the API server. */
// biome-ignore lint/suspicious/noExplicitAny: what it holds beyond its metadata depends on its kind
export type KubernetesObject = KubeObject & { [field: string]: any };

// biome-ignore lint/suspicious/noExplicitAny: a pod's specification as plain data
export type PodSpec = any;
// biome-ignore lint/suspicious/noExplicitAny: a container as plain data
export type Container = any;

/** What a rule finds wrong with one object, each in a sentence; empty where all is well. */
export type Rule = (object: KubernetesObject) => string[];

/** The specification of the pods that an object runs, and their labels; undefined where it runs none. */
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

/** Init containers and containers alike. */
export const containersOf = (spec: PodSpec): Container[] => [...(spec.initContainers ?? []), ...spec.containers];

/** A rule on each container of an object's pods. */
export const perContainer =
  (rule: (container: Container, pod: PodSpec) => string[]): Rule =>
  (object) => {
    const pod = podOf(object);
    return pod
      ? containersOf(pod.spec).flatMap((one) => rule(one, pod.spec).map((problem) => `${one.name}: ${problem}`))
      : [];
  };
