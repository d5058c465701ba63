import { createHash } from "node:crypto";
import { createTwoFilesPatch } from "diff";
import { stringify } from "yaml";
import type { Cluster, KubeObject, Ref } from "./kube.ts";

export const refOf = ({ apiVersion, kind, metadata }: KubeObject): Ref => ({ apiVersion, kind, name: metadata.name });
/** The identity of an object, which is the same in every version of its API. */
export const keyOf = ({ apiVersion, kind, name }: Ref): string => `${group(apiVersion)}/${kind}/${name}`;
export const titleOf = ({ kind, name }: Ref): string => `${kind} ${name}`;
const group = (apiVersion: string) => (apiVersion.includes("/") ? apiVersion.split("/")[0] : "");

/** A hash of everything that is declared of an object. */
export const digestOf = (object: KubeObject): string =>
  createHash("sha256").update(JSON.stringify(object)).digest("hex").slice(0, 16);

/** Whether Kubernetes deletes an object by itself once it has finished. */
export const expires = ({ kind, spec }: KubeObject): boolean =>
  kind === "Job" && typeof spec?.ttlSecondsAfterFinished === "number";

/** Whether an object is deleted and created again if an immutable field differs. */
export const replaces = ({ metadata }: KubeObject): boolean => metadata.annotations?.["deployd/replace"] === "true";

/** Whether an annotation keeps an object from being pruned: deployd's, Helm's, Argo CD's or Flux's. */
export function isKept({ metadata: { annotations = {} } }: KubeObject): boolean {
  const has = (key: string, value: string) =>
    (annotations[key] ?? "").split(",").some((one) => one.trim().toLowerCase() === value);
  return (
    has("deployd/prune", "false") ||
    has("helm.sh/resource-policy", "keep") ||
    has("argocd.argoproj.io/sync-options", "prune=false") ||
    has("kustomize.toolkit.fluxcd.io/prune", "disabled")
  );
}

export interface Readiness {
  /** Ready and wanted replicas, `1/2`; null for a kind without. */
  ready: string | null;
  /** Whether it is as declared and ready. */
  done: boolean;
  message: string | null;
}

/**
 * Whether an object is as declared, by the status that its controller writes. The platform's own command line decides by
 * the same rules; a test of the platform compares the two.
 */
export function readiness(object: KubeObject): Readiness {
  const { kind, metadata, spec = {}, status = {} } = object;
  if (metadata.deletionTimestamp) return { ready: null, done: false, message: "is being deleted" };
  // A status that is older than the object says nothing about it.
  const current = (status.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  const counted = (wanted: number, ready = 0, available = 0, updated = 0): Readiness => ({
    ready: `${ready}/${wanted}`,
    done: current && Math.min(ready, available, updated) >= wanted,
    message: complaint(status),
  });
  switch (kind) {
    case "Deployment":
    case "StatefulSet": {
      const wanted = spec.replicas ?? 1;
      const of = counted(wanted, status.readyReplicas, status.availableReplicas, updatedReplicas(status));
      // Pods of the previous version still run.
      return { ...of, done: of.done && (status.replicas ?? 0) <= wanted };
    }
    case "DaemonSet":
      return counted(
        status.desiredNumberScheduled ?? 0,
        status.numberReady,
        status.numberAvailable,
        status.updatedNumberScheduled,
      );
    case "Job":
      return {
        ready: `${status.succeeded ?? 0}/${spec.completions ?? 1}`,
        done: hasCondition(status, "Complete"),
        message: complaint(status),
      };
    case "PersistentVolumeClaim":
      // A claim without a volume waits for its first pod, as it should.
      return { ready: null, done: true, message: status.phase === "Bound" ? null : (status.phase ?? null) };
    default:
      return { ready: null, done: true, message: null };
  }
}

interface WorkloadStatus {
  updatedReplicas?: number;
  currentReplicas?: number;
  currentRevision?: string;
  updateRevision?: string;
}

/** A StatefulSet may count no updated replicas while all of them are of its only revision. */
const updatedReplicas = (status: WorkloadStatus): number | undefined =>
  status.updatedReplicas ?? (status.currentRevision === status.updateRevision ? status.currentReplicas : undefined);

interface Condition {
  type: string;
  status: string;
  message?: string;
}

const hasCondition = ({ conditions = [] }: { conditions?: Condition[] }, type: string): boolean =>
  conditions.some((one) => one.type === type && one.status === "True");

/** The problem that a controller reports. */
function complaint(status: { conditions?: Condition[] }): string | null {
  const bad = (status.conditions ?? []).find(({ type, status }) =>
    ["ReplicaFailure", "Failed"].includes(type) ? status === "True" : type === "Progressing" && status === "False",
  );
  return bad?.message ?? null;
}

/** Why the pods of a workload do not start, if one has a reason. */
export async function podMessage(cluster: Cluster, object: KubeObject, namespace: string): Promise<string | null> {
  const labels = object.spec?.selector?.matchLabels;
  if (!labels) return null;
  const pods = await cluster.pods(labels, namespace);
  for (const { metadata, status = {} } of pods) {
    const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
    for (const { name, state } of containers) {
      const { reason, message } = state?.waiting ?? {};
      if (reason && !["ContainerCreating", "PodInitializing"].includes(reason))
        return `pod ${metadata.name}: ${name}: ${reason}${message ? `: ${message}` : ""}`;
    }
    const unscheduled = status.conditions?.find(
      (one: Condition) => one.type === "PodScheduled" && one.status === "False",
    );
    if (unscheduled) return `pod ${metadata.name}: ${unscheduled.message}`;
  }
  return null;
}

/** What applying an object would change, as a unified diff; empty without a difference. */
export async function difference(cluster: Cluster, object: KubeObject, namespace: string): Promise<string> {
  const ref = refOf(object);
  for (let attempt = 1; ; attempt++) {
    const live = await cluster.get(ref, namespace);
    const applied = await cluster.apply(object, namespace, true);
    // A controller may have written between the two requests; its fields are no difference.
    if (live && live.metadata.resourceVersion !== applied.metadata.resourceVersion && attempt < 3) continue;
    if (!live) return patch(ref, "", declaredPart(withoutSecrets(applied)));
    if (declaredPart(live) === declaredPart(applied)) return "";
    const [before, after] = [withoutSecrets(live), withoutSecrets(applied)].map(declaredPart);
    return before === after ? `${titleOf(ref)}: hidden values differ` : patch(ref, before ?? "", after ?? "");
  }
}

const patch = (ref: Ref, before: string, after: string): string =>
  createTwoFilesPatch("cluster", "repository", before, after, titleOf(ref)).trimEnd();

/** kubectl's copy of what it applied, with all values. */
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/** An object without the values of a Secret. deployd has no right to read Secrets, unless an administrator grants it. */
export function withoutSecrets(object: KubeObject): KubeObject {
  if (object.kind !== "Secret") return object;
  const hidden = (values: object) => Object.fromEntries(Object.keys(values).map((key) => [key, "(hidden)"]));
  const { [lastApplied]: _, ...annotations } = object.metadata.annotations ?? {};
  return {
    ...object,
    metadata: { ...object.metadata, annotations },
    ...(object.data && { data: hidden(object.data) }),
    ...(object.stringData && { stringData: hidden(object.stringData) }),
  };
}

/** An object as text, without its status and the fields that the API server sets. */
function declaredPart({ metadata, status: _, ...object }: KubeObject): string {
  const { managedFields, resourceVersion, uid, generation, creationTimestamp, ...kept } = metadata;
  return stringify({ ...object, metadata: kept }, { sortMapEntries: true });
}
