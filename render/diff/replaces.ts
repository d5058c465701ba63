import { isDeepStrictEqual } from "node:util";
import type { KubernetesObject } from "../../policy/rules/index.ts";

/*
 * What the Pulumi provider for Kubernetes deletes and makes anew rather than changes. Name and namespace are not in
 * it: with another name it is another object. ConfigMaps and Secrets change in place, as components/platform.ts has it.
 */
const selector = "spec.selector";
const fixed: Record<string, string[]> = {
  StatefulSet: [
    selector,
    "spec.serviceName",
    "spec.podManagementPolicy",
    "spec.volumeClaimTemplates",
    "spec.revisionHistoryLimit",
  ],
  Deployment: [selector],
  DaemonSet: [selector],
  Job: [selector, "spec.template", "spec.completions", "spec.parallelism"],
  Service: ["spec.clusterIP"],
  Secret: ["type"],
  RoleBinding: ["roleRef"],
  ClusterRoleBinding: ["roleRef"],
  ResourceQuota: ["spec.scopes"],
  StorageClass: ["provisioner", "parameters"],
  PersistentVolumeClaim: ["spec.accessModes", selector, "spec.storageClassName", "spec.volumeName"],
  // Where the volume is, by whatever driver; the rest of its specification can change.
  PersistentVolume: ["spec.csi", "spec.hostPath", "spec.local", "spec.nfs"],
};

/** The fields that make `after` another object than `before`; none where it can be changed in place. */
export function replacedBy(before: KubernetesObject, after: KubernetesObject): string[] {
  return (fixed[after.kind] ?? []).filter((path) => !isDeepStrictEqual(at(before, path), at(after, path)));
}

export const at = (object: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
