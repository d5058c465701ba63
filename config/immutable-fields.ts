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

/** Annotation of a StatefulSet that names the key its number of pods comes from, where that number is final. */
export const fixedReplicas = "data-platform/fixed-replicas";

/**
 * Why a StatefulSet whose members are fixed at its creation may not be scaled from `before` to `after` pods; undefined if
 * it may. Zero is allowed: someone has stopped it.
 */
export const resizes = (before: number | undefined, after: number | undefined): string | undefined =>
  before && after !== before
    ? `found ${after}; expected ${before}, the number that exists: it is fixed when the volumes are first written to`
    : undefined;
