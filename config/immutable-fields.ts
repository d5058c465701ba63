const selector = "spec.selector";

/**
 * Fields, by kind, whose change makes the Pulumi provider for Kubernetes replace the object: forceNewProperties in its
 * provider/pkg/provider/diff.go. Name and namespace are left out: with another name it is another object. ConfigMaps and
 * Secrets are updated in place, as components/platform.ts configures the provider.
 */
const immutableFields: Record<string, readonly string[]> = {
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
  // Where the volume is, for each driver. The rest of its specification can change.
  PersistentVolume: ["spec.csi", "spec.hostPath", "spec.local", "spec.nfs"],
};

/** What an object has in its kind's immutable fields, by dotted path. A field that it leaves out is undefined. */
export const immutableValues = (object: { kind: string }): [path: string, value: unknown][] =>
  (immutableFields[object.kind] ?? []).map((path) => [path, valueAt(object, path)]);

/** The value at a dotted path; undefined if there is none. */
export const valueAt = (object: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], object);
