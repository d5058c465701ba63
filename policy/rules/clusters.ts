import { parseImage } from "../../config/images.ts";
import type { Rule } from "./object.ts";

/**
 * CloudNativePG's Clusters, from which the operator creates pods: a pinned image and bounded resources, as for pods; no
 * superuser password; no in-tree Barman, which CloudNativePG has deprecated in favour of a plugin.
 */
export const clusters: Rule = ({ kind, spec }) => {
  if (kind !== "Cluster") return [];
  const { tag, digest } = parseImage(spec.imageName ?? "") ?? {};
  const { requests, limits } = spec.resources ?? {};
  return [
    ...(digest || (tag && tag !== "latest") ? [] : [`image ${spec.imageName} has no version`]),
    ...(requests?.cpu ? [] : ["no CPU request"]),
    ...(requests?.memory ? [] : ["no memory request"]),
    ...(limits?.memory ? [] : ["no memory limit"]),
    ...(spec.enableSuperuserAccess ? ["its superuser has a password"] : []),
    ...(spec.backup?.barmanObjectStore ? ["it is backed up by the operator's own Barman"] : []),
  ];
};
