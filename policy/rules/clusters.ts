import { parseImage } from "../../config/images.ts";
import type { Rule } from "./object.ts";

/**
 * Clusters of CloudNativePG's. The operator makes their pods, restricted; what those start from and may use, the cluster
 * says, as a pod would. Nobody is a superuser from outside, and backups take a plugin: what the operator has for them
 * itself goes away.
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
