import { clusters } from "./clusters.ts";
import { named } from "./names.ts";
import type { KubernetesObject, Rule } from "./object.ts";
import { bounded, isolated, noPlainSecrets, pinned, probed, restricted } from "./pods.ts";

/** Kinds that belong to the stack and to no component. */
const ofStack = ["Namespace", "ResourceQuota", "LimitRange", "PriorityClass"];

/** A NetworkPolicy for pods of all components belongs to the namespace too. */
const isOfNamespace = ({ kind, spec }: KubernetesObject): boolean =>
  ofStack.includes(kind) || (kind === "NetworkPolicy" && !spec.podSelector.matchLabels?.["app.kubernetes.io/name"]);

/** The standard labels of Kubernetes. */
const labelled: Rule = (object) =>
  [
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/instance",
    ...(isOfNamespace(object) ? [] : ["app.kubernetes.io/name"]),
  ]
    .filter((label) => !object.metadata.labels?.[label])
    .map((label) => `no label ${label}`);

/** The rules that every object of every stack keeps, by the name under which a violation is reported. */
export const rules: Record<string, Rule> = {
  restricted,
  bounded,
  pinned,
  isolated,
  probed,
  labelled,
  named,
  clusters,
  "no-plain-secrets": noPlainSecrets,
};

export * from "./object.ts";
