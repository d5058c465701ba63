import type { KubernetesObject, Rule } from "./object.ts";
import { containersOf, podOf } from "./object.ts";

const label = /^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
const subdomain = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const labelValue = /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/;

/**
 * Maximum length of names that become part of another name or a label's value: Kubernetes appends 11 characters to the
 * name of a CronJob and of a StatefulSet's revision, and labels pods with the name of their Job.
 */
const longest: Record<string, number> = { CronJob: 52, StatefulSet: 52, Job: 63, Namespace: 63, Service: 63 };

/** The labels of an object and of the pods that it makes. */
const labelsOf = (object: KubernetesObject): Record<string, string>[] => [
  object.metadata.labels ?? {},
  podOf(object)?.labels ?? {},
];

/** Valid names and labels, and names short enough for what Kubernetes derives from them. */
export const named: Rule = (object) => {
  const { kind, metadata } = object;
  const { name, namespace } = metadata;
  const most = longest[kind];
  const pod = podOf(object)?.spec;
  const inPod = pod ? [...containersOf(pod), ...(pod.volumes ?? [])] : [];
  return [
    ...((most ? label : subdomain).test(name) ? [] : [`${name} is not a valid name`]),
    ...(most && name.length > most ? [`${name} has ${name.length} characters, more than ${most}`] : []),
    ...(namespace === undefined || label.test(namespace) ? [] : [`${namespace} is not a valid namespace`]),
    ...inPod.filter((one) => !label.test(one.name)).map((one) => `${one.name} is not a valid name in a pod`),
    ...labelsOf(object).flatMap((labels) =>
      Object.entries(labels)
        .filter(([, value]) => !labelValue.test(value))
        .map(([key, value]) => `label ${key} cannot be ${value}`),
    ),
  ];
};
