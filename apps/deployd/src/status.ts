import { ApiError, type Cluster, type KubeObject, type Ref } from "./kube.ts";
import { difference, isKept, keyOf, podMessage, readiness, refOf, titleOf, withoutSecrets } from "./objects.ts";
import type { DeploymentRecord, Failure } from "./record.ts";
import type { Declared, Rollout } from "./rollout.ts";
import type { RepositorySettings } from "./settings.ts";

/* What the API answers about one repository; its form is in answers.ts. */

/** What is known of a deployment without asking the cluster. */
export interface State {
  settings: RepositorySettings;
  record: DeploymentRecord;
  /** The newest commit that was dealt with. */
  head: string | null;
  checkedAt: string | null;
  declared: Declared | undefined;
  drift: string[];
  /** Whether objects are being applied. */
  deploying: boolean;
  failure: Failure | undefined;
  /** Milliseconds since 1970; 0 for no retry. */
  retryAt: number;
}

export function brief(state: State) {
  const { name, url, branch, path, namespace, environment, prune, repairDrift, interval } = state.settings;
  const { commit, deployedAt, partial } = state.record;
  return {
    repository: name,
    phase: phaseOf(state),
    message: messageOf(state),
    commit,
    deployedAt,
    head: state.head,
    checkedAt: state.checkedAt,
    error: errorOf(state),
    partial,
    drift: state.drift,
    skipped: state.declared?.skipped ?? [],
    settings: { url, branch, path, namespace, environment: environment ?? null, prune, repairDrift, interval },
  };
}

function errorOf({ failure, retryAt }: State) {
  if (!failure) return null;
  const { message, at, commit } = failure;
  return { message, at, commit, retryAt: retryAt ? new Date(retryAt).toISOString() : null };
}

function phaseOf({ deploying, failure, record, drift }: State) {
  if (deploying) return "deploying" as const;
  if (failure) return "failed" as const;
  if (!record.digest) return "pending" as const;
  if (drift.length > 0) return "drifted" as const;
  return "ready" as const;
}

function messageOf({ failure, record: { commit, partial }, drift }: State): string {
  const whole = commit ? `Commit ${commit.slice(0, 10)} runs` : "Nothing is deployed yet";
  const running = partial
    ? `${whole}, but a part of commit ${partial.commit.slice(0, 10)} is applied: ${partial.applied.join(", ")}`
    : whole;
  if (failure) return `${running}. ${failure.message}`;
  if (drift.length > 0) return `${running}, but the cluster differs: ${drift.join(", ")}`;
  return running;
}

/** `brief`, and each object as it is in the cluster now. */
export async function summary(cluster: Cluster, state: State) {
  const found = await Promise.all(state.record.objects.map((ref) => objectStatus(cluster, state, ref)));
  const known = brief(state);
  const waiting = found.filter(({ done }) => !done).map(titleOf);
  const progressing = known.phase === "ready" && waiting.length > 0;
  return {
    ...known,
    phase: progressing ? ("progressing" as const) : known.phase,
    message: progressing ? `${known.message}, but not all of it is ready: ${waiting.join(", ")}` : known.message,
    objects: found.map(({ live: _, ...object }) => object),
    raw: found.flatMap(({ live }) => (live ? withoutSecrets(live) : [])),
  };
}

async function objectStatus(cluster: Cluster, { settings: { namespace }, record }: State, ref: Ref) {
  const { apiVersion, kind, name } = ref;
  const live = await cluster.get(ref, namespace);
  if (!live) {
    const expired = Object.hasOwn(record.expiring, keyOf(ref));
    const message = expired ? "finished, and deleted after its ttlSecondsAfterFinished" : "missing";
    return { apiVersion, kind, name, ready: null, done: expired, message, live };
  }
  const { ready, done, message } = readiness(live);
  const ofPods = done ? null : await podMessage(cluster, live, namespace);
  return { apiVersion, kind, name, ready, done, message: ofPods ?? message ?? whyLeft(record, ref), live };
}

/** Why an object is still there that is no longer declared; null if it is declared. */
function whyLeft({ left, kept }: DeploymentRecord, ref: Ref): string | null {
  const has = (refs: Ref[]) => refs.some((one) => keyOf(one) === keyOf(ref));
  if (has(kept)) return "no longer declared, and kept since an annotation says so";
  return has(left) ? "no longer declared, and left since prune is off" : null;
}

interface Change {
  kind: string;
  name: string;
  change: "create" | "change" | "replace" | "delete";
  diff: string;
}

/** What applying a commit would change. */
export async function diff(cluster: Cluster, rollout: Rollout, settings: RepositorySettings, declared: Declared) {
  const { namespace, name, prune } = settings;
  const changes: Change[] = [];
  for (const object of await rollout.unexpired(declared.objects))
    changes.push(...(await changeOf(cluster, object, namespace)));
  for (const ref of prune ? rollout.undeclared(declared) : []) {
    const live = await cluster.get(ref, namespace);
    if (live && !isKept(live)) changes.push({ kind: ref.kind, name: ref.name, change: "delete", diff: "" });
  }
  return { repository: name, commit: declared.commit, changes };
}

async function changeOf(cluster: Cluster, object: KubeObject, namespace: string): Promise<Change[]> {
  const ref = refOf(object);
  const { kind, name } = ref;
  const live = await cluster.get(ref, namespace);
  try {
    const diff = await difference(cluster, object, namespace);
    return diff ? [{ kind, name, change: live ? "change" : "create", diff }] : [];
  } catch (error) {
    if (!(error instanceof ApiError && error.immutable)) throw error;
    return [{ kind, name, change: "replace", diff: error.message }];
  }
}
