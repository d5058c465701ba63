import type { KubernetesObject, Rule } from "./object.ts";
import { containersOf, podOf } from "./object.ts";

const label = /^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
const subdomain = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const labelValue = /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/;

/**
 * How long a name may be that becomes part of another one or the value of a label: a CronJob's Jobs end in 11 more
 * characters, a StatefulSet's revisions in 11; pods are labelled with the name of their Job.
 */
const longest: Record<string, number> = { CronJob: 52, StatefulSet: 52, Job: 63, Namespace: 63, Service: 63 };

/** The labels of an object and of the pods that it makes. */
const labelsOf = (object: KubernetesObject): Record<string, string>[] => [
  object.metadata.labels ?? {},
  podOf(object)?.labels ?? {},
];

/** Names and labels that Kubernetes takes, and that what it derives from them still is a name. */
export const named: Rule = (object) => {
  const { kind, metadata } = object;
  const { name, namespace } = metadata;
  const most = longest[kind];
  const pod = podOf(object)?.spec;
  const inPod = pod ? [...containersOf(pod), ...(pod.volumes ?? [])] : [];
  return [
    ...((most ? label : subdomain).test(name) ? [] : [`${name} is no name`]),
    ...(most && name.length > most ? [`${name} has ${name.length} characters, more than ${most}`] : []),
    ...(namespace === undefined || label.test(namespace) ? [] : [`${namespace} is no namespace`]),
    ...inPod.filter((one) => !label.test(one.name)).map((one) => `${one.name} is no name in a pod`),
    ...labelsOf(object).flatMap((labels) =>
      Object.entries(labels)
        .filter(([, value]) => !labelValue.test(value))
        .map(([key, value]) => `label ${key} cannot be ${value}`),
    ),
  ];
};
