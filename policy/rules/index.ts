import { clusters } from "./clusters.ts";
import { named } from "./names.ts";
import type { Rule } from "./object.ts";
import { bounded, isolated, noPlainSecrets, pinned, probed, restricted } from "./pods.ts";

/** Kinds that belong to a namespace and to no component. */
const ofNamespace = ["Namespace", "ResourceQuota", "LimitRange"];

/** The standard labels of Kubernetes. */
const labelled: Rule = ({ kind, metadata: { labels = {} } }) =>
  [
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/instance",
    ...(ofNamespace.includes(kind) ? [] : ["app.kubernetes.io/name"]),
  ]
    .filter((label) => !labels[label])
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
