import { createHash, randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import pLimit from "p-limit";
import { type Admitted, admit, isPlatforms, refuse } from "./admission.ts";
import type { Checkout, Git } from "./git.ts";
import { ApiError, type Cluster, type KubeObject, type Ref, Unreachable } from "./kube.ts";
import type { Metrics } from "./metrics.ts";
import {
  difference,
  digestOf,
  expires,
  isKept,
  keyOf,
  podMessage,
  readiness,
  refOf,
  replaces,
  titleOf,
  withoutSecrets,
} from "./objects.ts";
import { owner, ownership, render } from "./render.ts";
import type { RepositorySettings } from "./settings.ts";

export interface Log {
  info(message: string): void;
  warn(message: string): void;
}

/** What a deployment works with. */
export interface Tools {
  cluster: Cluster;
  git: Pick<Git, "head" | "checkout">;
  metrics: Metrics;
  log: Log;
  /** A folder for checkouts. */
  work: string;
}

/** What went wrong last, until something goes right. */
interface Failure {
  message: string;
  at: string;
  /** The commit that it went wrong with, where it came that far. */
  commit: string | null;
  /** How many attempts have failed one after another. */
  attempts: number;
}

/** What stands in the cluster about a repository, for the time after a restart. */
interface Record {
  commit: string | null;
  digest: string | null;
  deployedAt: string | null;
  /** All that was ever applied and not deleted since. */
  objects: Ref[];
  /** Those of them that the deployed commit declares no more. */
  left: Ref[];
  /** Those of `left` that an annotation keeps from being pruned. */
  kept: Ref[];
  /** The Jobs that Kubernetes deletes once they have finished: what was applied of each, as a digest, by its key. */
  expiring: { [key: string]: string };
  /** What was applied of a commit that could not be applied whole. */
  partial: { commit: string; applied: string[] } | null;
  failure: Failure | null;
  /** The commit that is being read: if deployd ends meanwhile, the commit may be what ended it. */
  reading: string | null;
}

const nothing: Record = {
  commit: null,
  digest: null,
  deployedAt: null,
  objects: [],
  left: [],
  kept: [],
  expiring: {},
  partial: null,
  failure: null,
  reading: null,
};

/** Milliseconds until an object that is replaced has to be gone, and between two looks. */
const goneWithin = 30_000;
const lookEvery = 500;

/** So many commits are fetched and read at a time: each may take a quarter of the volume. */
const reads = pLimit(3);

/** Seconds until the next attempt, after so many that failed: 2, 4, 8 … up to five minutes. */
export const backoff = (failures: number): number => Math.min(300, 2 ** failures);

/** One repository, kept deployed: a loop of its own, so that nothing it waits for makes another wait. */
export class Deployment {
  readonly settings: RepositorySettings;
  private readonly tools: Tools;
  private readonly stopping = new AbortController();
  private loop: Promise<void> = Promise.resolve();
  private wake: () => void = () => {};
  /** Someone asked for a look, or for an application of everything, that is still to come. */
  private asked: "look" | "sync" | undefined;

  private record: Record | undefined;
  private head: string | null = null;
  private checkedAt: string | null = null;
  /** What the newest commit that could be read declares. */
  private declared: (Pick<Checkout, "commit" | "digest"> & Admitted & { rendered: KubeObject[] }) | undefined;
  private drift: string[] = [];
  private deploying = false;
  private failure: Failure | undefined;
  private failures = 0;
  private retryAt = 0;

  constructor(settings: RepositorySettings, tools: Tools) {
    this.settings = settings;
    this.tools = tools;
  }

  /** Begins, once what came `after` has ended. */
  start(after: Promise<unknown> = Promise.resolve()): void {
    this.loop = after.then(() => this.run());
  }

  /** Gives up what it waits for, and ends what it has begun to apply. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake();
    await this.loop;
  }

  /** Has it look at once; with `sync`, also apply everything again. */
  trigger(what: "look" | "sync"): void {
    if (this.asked !== "sync") this.asked = what;
    this.wake();
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.round();
      if (this.asked || this.stopping.signal.aborted) continue;
      await new Promise<void>((done) => {
        const timer = setTimeout(done, this.pause());
        this.wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  /** Milliseconds until the next look. A repository that does not answer is asked less and less often. */
  private pause(): number {
    const interval = this.settings.interval * 1000;
    if (!this.failure) return interval;
    const retry = Math.max(0, this.retryAt - Date.now());
    return this.failure.commit ? Math.min(interval, retry || interval) : retry;
  }

  /** One look at the repository and the cluster, and what follows from it. */
  async round(): Promise<void> {
    const { settings, tools } = this;
    const { signal } = this.stopping;
    const asked = this.asked;
    this.asked = undefined;
    const end = tools.metrics.timed(settings.name);
    let commit: string | null = null;
    try {
      this.record ??= await this.recall();
      const head = await tools.git.head(settings, signal);
      this.checkedAt = new Date().toISOString();
      commit = head;
      const waits = this.failure?.commit === head && Date.now() < this.retryAt && !asked;
      if (!waits) {
        if (this.declared?.commit !== head || asked === "sync") await reads(() => this.read(head));
        const changed = this.declared?.digest !== this.record.digest || this.record.partial !== null;
        if (changed || asked === "sync" || this.prunable()) await this.deploy();
      }
      // Told once it is dealt with: until then what runs is what was asked for.
      this.head = head;
      // The version that runs is looked after while a newer one cannot be deployed.
      if (this.declared && this.declared.digest === this.record.digest) await this.lookForDrift();
      if (!waits) await this.succeeded();
      end(waits ? "waiting" : "ok");
    } catch (error) {
      if (signal.aborted) return;
      if (commit) this.head = commit;
      await this.failed((error as Error).message, commit);
      end("failed");
    }
    tools.metrics.state(settings.name, { drifted: this.drift.length, failed: this.failure !== undefined });
  }

  /** Reads what the newest commit declares. */
  private async read(head: string): Promise<void> {
    const { settings, tools } = this;
    const folder = join(tools.work, randomUUID());
    this.stopping.signal.throwIfAborted();
    await this.remember({ ...(this.record ?? nothing), reading: head });
    try {
      const checkout = await tools.git.checkout(settings, folder, this.stopping.signal);
      const same = this.declared?.digest === checkout.digest && this.declared.rendered;
      const rendered =
        same || (await render(checkout, settings, () => tools.cluster.capabilities(), this.stopping.signal));
      const { commit, digest } = checkout;
      this.declared = { commit, digest, rendered, ...(await admit(tools.cluster, rendered, settings)) };
    } finally {
      await rm(folder, { recursive: true, force: true });
      await this.remember({ ...(this.record ?? nothing), reading: null });
    }
  }

  /** Makes the namespace what is declared: all of it, or where the cluster refuses one object, nothing. */
  private async deploy(): Promise<void> {
    const { cluster, log } = this.tools;
    const { namespace, prune, name } = this.settings;
    const { commit, digest, objects } = this.declared!;
    this.deploying = true;
    try {
      const wanted: KubeObject[] = [];
      for (const object of objects) if (!(await this.hasExpired(object))) wanted.push(object);
      refuse(await problems(wanted, (object) => this.refuseOthers(object)));
      const replaced = new Set<KubeObject>();
      refuse(await problems(wanted, async (object) => void ((await this.rehearse(object)) && replaced.add(object))));

      const refs = objects.map(refOf);
      const gone = this.left();
      // Before the first of them is there: whatever happens, none is forgotten.
      await this.remember({ ...this.record!, objects: [...refs, ...gone] });
      const expiring = Object.fromEntries(
        objects.filter(expires).map((object) => [keyOf(refOf(object)), digestOf(object)]),
      );
      const applied: KubeObject[] = [];
      try {
        for (const object of wanted) {
          await about(object, this.put(object, replaced.has(object)));
          applied.push(object);
        }
      } catch (error) {
        if (applied.length > 0) await this.rememberPart(applied);
        throw error;
      }

      const left: Ref[] = [];
      const kept: Ref[] = [];
      for (const ref of gone) {
        const live = await cluster.get(ref, namespace);
        if (live?.metadata.labels?.[ownership] !== owner(this.settings)) continue;
        if (isKept(live)) kept.push(ref);
        else if (!prune) left.push(ref);
        else await cluster.delete(ref, namespace, live.metadata.uid!);
      }
      const deployedAt = new Date().toISOString();
      left.push(...kept);
      const done = { commit, digest, deployedAt, objects: [...refs, ...left], left, kept, expiring };
      await this.remember({ ...nothing, ...done });
      log.info(`${name}: deployed ${objects.length} objects of commit ${commit.slice(0, 10)}`);
    } finally {
      this.deploying = false;
    }
  }

  /** An object that is someone else's stays theirs, whatever the repository declares. */
  private async refuseOthers(object: KubeObject): Promise<void> {
    const ref = refOf(object);
    const live = await this.tools.cluster.get(ref, this.settings.namespace);
    const theirs = live?.metadata.labels?.[ownership];
    if (!live || theirs === owner(this.settings)) return;
    if (theirs)
      throw new Error(`exists and belongs to ${theirs.replace(".", "/")}: rename it, or delete the one that is there`);
    if (isPlatforms(live)) throw new Error("exists and belongs to the platform: rename it");
    if (this.adopts(ref)) return;
    throw new Error(
      `exists and was not made by deployd: rename it, or add ${ref.kind}/${ref.name} to adopt in deployd's configuration`,
    );
  }

  private adopts = ({ kind, name }: Ref): boolean => this.settings.adopt.includes(`${kind}/${name}`);

  /** Has the cluster try an object. True where the one that is there has to be deleted first. */
  private async rehearse(object: KubeObject): Promise<boolean> {
    const { cluster } = this.tools;
    const { namespace } = this.settings;
    try {
      await cluster.apply(object, namespace, true);
      return false;
    } catch (error) {
      if (!(error instanceof ApiError && error.immutable)) throw error;
      const { message } = error;
      if (object.kind === "PersistentVolumeClaim")
        throw new Error(
          `${message}. A claim is never deleted to make it again, for it holds data: give it another name`,
        );
      if (!replaces(object))
        throw new Error(`${message}. The annotation deployd/replace: "true" has it deleted and made again`);
    }
    // By another name: only so can it be tried before the one that is there is gone.
    const name = `${object.metadata.name.slice(0, 40).replace(/[^a-z0-9]+$/, "")}-replaced`;
    await cluster.apply({ ...object, metadata: { ...object.metadata, name } }, namespace, true);
    const live = await cluster.get(refOf(object), namespace);
    if (live?.spec?.persistentVolumeClaimRetentionPolicy?.whenDeleted === "Delete")
      throw new Error(
        "its claims would be deleted with it: set persistentVolumeClaimRetentionPolicy.whenDeleted to Retain first",
      );
    return true;
  }

  /** Applies an object, in place of the one that is there where that cannot become it. */
  private async put(object: KubeObject, replace: boolean): Promise<void> {
    const { cluster } = this.tools;
    const { namespace } = this.settings;
    const ref = refOf(object);
    const live = replace || this.adopts(ref) ? await cluster.get(ref, namespace) : undefined;
    if (live && replace) await this.remove(live, object);
    else if (live && !live.metadata.labels?.[ownership]) await cluster.adopt(live, namespace);
    await cluster.apply(object, namespace);
  }

  /** Deletes an object that another takes the place of, and waits until it is gone. Claims stay. */
  private async remove(live: KubeObject, next: KubeObject): Promise<void> {
    const { cluster } = this.tools;
    const { namespace } = this.settings;
    const ref = refOf(live);
    // The new one takes over the pods of the old one, where it would find them.
    const orphan = live.kind === "StatefulSet" && isDeepStrictEqual(live.spec?.selector, next.spec?.selector);
    await cluster.delete(ref, namespace, live.metadata.uid ?? "", orphan);
    const until = Date.now() + goneWithin;
    while ((await cluster.get(ref, namespace))?.metadata.uid === live.metadata.uid) {
      if (Date.now() > until) throw new Error("is still being deleted; it is made again once it is gone");
      await sleep(lookEvery);
    }
  }

  /** Whether an object is a Job that was applied as it is declared, has finished, and was deleted for that. */
  private async hasExpired(object: KubeObject): Promise<boolean> {
    if (!expires(object)) return false;
    const ref = refOf(object);
    if ((this.record ?? nothing).expiring[keyOf(ref)] !== digestOf(object)) return false;
    return (await about(object, this.tools.cluster.get(ref, this.settings.namespace))) === undefined;
  }

  /** Writes down what was applied of a commit before one of its objects was refused. */
  private async rememberPart(applied: KubeObject[]): Promise<void> {
    const record = this.record ?? nothing;
    const jobs = applied.filter(expires).map((object) => [keyOf(refOf(object)), digestOf(object)]);
    await this.remember({
      ...record,
      expiring: { ...record.expiring, ...Object.fromEntries(jobs) },
      partial: { commit: this.declared?.commit ?? "", applied: applied.map((object) => titleOf(refOf(object))) },
    });
  }

  /** What was applied once and is declared no more. What is declared and left out is still declared. */
  private left(): Ref[] {
    const declared = new Set(this.declared?.rendered.map((object) => keyOf(refOf(object))));
    return this.declared ? (this.record ?? nothing).objects.filter((ref) => !declared.has(keyOf(ref))) : [];
  }

  /** Whether something is to be deleted that no annotation keeps. */
  private prunable(): boolean {
    const kept = new Set((this.record ?? nothing).kept.map(keyOf));
    return this.settings.prune && this.left().some((ref) => !kept.has(keyOf(ref)));
  }

  private async lookForDrift(): Promise<void> {
    const { settings } = this;
    const find = async () => {
      const drift: string[] = [];
      for (const object of this.declared!.objects) {
        const title = titleOf(refOf(object));
        if (await this.hasExpired(object)) continue;
        const live = await this.tools.cluster.get(refOf(object), settings.namespace);
        if (!live) drift.push(`${title}: missing`);
        else if (await this.differs(object)) drift.push(`${title}: changed`);
      }
      return drift;
    };
    this.drift = await find();
    if (this.drift.length === 0 || !settings.repairDrift) return;
    this.tools.log.info(`${settings.name}: repairing ${this.drift.join(", ")}`);
    await this.deploy();
    this.drift = await find();
  }

  private differs(object: KubeObject): Promise<boolean> {
    return difference(this.tools.cluster, object, this.settings.namespace).then(Boolean, (error) => {
      if (error instanceof ApiError && error.immutable) return true;
      throw error;
    });
  }

  private async succeeded(): Promise<void> {
    this.failures = 0;
    this.failure = undefined;
    if (this.record!.failure) await this.remember({ ...this.record!, failure: null });
  }

  private async failed(message: string, commit: string | null): Promise<void> {
    this.failures++;
    const now = Date.now();
    this.retryAt = now + backoff(this.failures) * 1000;
    this.failure = { message, at: new Date(now).toISOString(), commit, attempts: this.failures };
    this.tools.log.warn(`${this.settings.name}: ${message}`);
    // Where it cannot be written, it is still in memory.
    if (this.record) await this.remember({ ...this.record, failure: this.failure }).catch(() => {});
  }

  /** What was written down before a restart. */
  private async recall(): Promise<Record> {
    const ref = this.recordRef();
    const map = await this.tools.cluster.get(ref, this.settings.namespace);
    const labels = map?.metadata.labels ?? {};
    // What a repository declares has the label of ownership: nothing it declares is believed to be a record.
    if (map && (labels[recordOf] !== owner(this.settings) || labels[ownership] !== undefined))
      throw new Error(`${titleOf(ref)} exists and is not deployd's record of this repository: delete it`);
    const record: Record = map?.data?.record ? { ...nothing, ...JSON.parse(map.data.record) } : nothing;
    const { failure, reading } = record;
    if (reading)
      record.failure = {
        message: `deployd ended while it read commit ${reading.slice(0, 10)}: it may be what took all of the memory`,
        at: new Date().toISOString(),
        commit: reading,
        attempts: (failure?.attempts ?? 0) + 1,
      };
    if (reading) await this.remember({ ...record, reading: null });
    this.resume(record.failure);
    return { ...record, reading: null };
  }

  /** Waits with a commit that failed before a restart as long as without it. */
  private resume(failure: Failure | null): void {
    if (!failure || this.failure) return;
    this.failure = failure;
    this.failures = failure.attempts ?? 1;
    this.retryAt = Date.parse(failure.at) + backoff(this.failures) * 1000;
  }

  private async remember(record: Record): Promise<void> {
    const { apiVersion, kind, name } = this.recordRef();
    await this.tools.cluster.apply(
      {
        apiVersion,
        kind,
        // Not the label of ownership: a repository cannot declare, and so cannot change, what is known of it.
        metadata: { name, labels: { [recordOf]: owner(this.settings) } },
        data: { record: JSON.stringify(record) },
      },
      this.settings.namespace,
    );
    this.record = record;
  }

  private recordRef(): Ref {
    const hash = createHash("sha256").update(this.settings.name.toLowerCase()).digest("hex").slice(0, 10);
    return { apiVersion: "v1", kind: "ConfigMap", name: `deployd-record-${hash}` };
  }

  /** What is known without asking the cluster. */
  brief() {
    const { name, url, branch, path, namespace, environment, prune, repairDrift, interval } = this.settings;
    const { commit, deployedAt } = this.record ?? nothing;
    const { failure } = this;
    const settings = { url, branch, path, namespace, environment: environment ?? null, prune, repairDrift, interval };
    return {
      repository: name,
      phase: this.phase(),
      message: this.message(),
      commit,
      deployedAt,
      head: this.head,
      checkedAt: this.checkedAt,
      error: failure
        ? {
            message: failure.message,
            at: failure.at,
            commit: failure.commit,
            retryAt: this.retryAt ? new Date(this.retryAt).toISOString() : null,
          }
        : null,
      partial: this.record?.partial ?? null,
      drift: this.drift,
      skipped: this.declared?.skipped ?? [],
      settings,
    };
  }

  private phase() {
    if (this.deploying) return "deploying" as const;
    if (this.failure) return "failed" as const;
    if (!this.record?.digest) return "pending" as const;
    if (this.drift.length > 0) return "drifted" as const;
    return "ready" as const;
  }

  private message(): string {
    const { commit, partial } = this.record ?? nothing;
    const whole = commit ? `Commit ${commit.slice(0, 10)} runs` : "Nothing is deployed yet";
    const running = partial
      ? `${whole}, but a part of commit ${partial.commit.slice(0, 10)} is applied: ${partial.applied.join(", ")}`
      : whole;
    if (this.failure) return `${running}. ${this.failure.message}`;
    if (this.drift.length > 0) return `${running}, but the cluster differs: ${this.drift.join(", ")}`;
    return running;
  }

  /** Everything about it, with each object as it is in the cluster now. */
  async summary() {
    const { cluster } = this.tools;
    const { namespace } = this.settings;
    const { objects, left, kept, expiring } = this.record ?? nothing;
    const undeclared = new Map([
      ...left.map((ref) => [keyOf(ref), "no longer declared, and left since prune is off"] as const),
      ...kept.map((ref) => [keyOf(ref), "no longer declared, and kept since an annotation says so"] as const),
    ]);
    const found = await Promise.all(
      objects.map(async (ref) => {
        const { apiVersion, kind, name } = ref;
        const live = await cluster.get(ref, namespace);
        if (!live) {
          const expired = Object.hasOwn(expiring, keyOf(ref));
          const message = expired ? "finished, and deleted after its ttlSecondsAfterFinished" : "missing";
          return { apiVersion, kind, name, ready: null, done: expired, message, live };
        }
        const { ready, done, message } = readiness(live);
        const told = done ? null : await podMessage(cluster, live, namespace);
        const left = undeclared.get(keyOf(ref)) ?? null;
        return { apiVersion, kind, name, ready, done, message: told ?? message ?? left, live };
      }),
    );
    const brief = this.brief();
    const waiting = found.filter(({ done }) => !done).map(titleOf);
    const progressing = brief.phase === "ready" && waiting.length > 0;
    return {
      ...brief,
      phase: progressing ? ("progressing" as const) : brief.phase,
      message: progressing ? `${brief.message}, but not all of it is ready: ${waiting.join(", ")}` : brief.message,
      objects: found.map(({ live: _, ...object }) => object),
      raw: found.flatMap(({ live }) => (live ? withoutSecrets(live) : [])),
    };
  }

  /** What applying the newest commit that could be read would change; undefined where none could be yet. */
  async diff() {
    const { declared } = this;
    if (!declared) return undefined;
    const { cluster } = this.tools;
    const { namespace, name, prune } = this.settings;
    const changes: { kind: string; name: string; change: "create" | "change" | "replace" | "delete"; diff: string }[] =
      [];
    for (const object of declared.objects) {
      if (await this.hasExpired(object)) continue;
      const { kind, name } = refOf(object);
      const live = await cluster.get(refOf(object), namespace);
      try {
        const diff = await difference(cluster, object, namespace);
        if (diff) changes.push({ kind, name, change: live ? "change" : "create", diff });
      } catch (error) {
        if (!(error instanceof ApiError && error.immutable)) throw error;
        changes.push({ kind, name, change: "replace", diff: error.message });
      }
    }
    for (const ref of prune ? this.left() : []) {
      const { kind, name } = ref;
      const live = await cluster.get(ref, namespace);
      if (live && !isKept(live)) changes.push({ kind, name, change: "delete", diff: "" });
    }
    return { repository: name, commit: declared.commit, changes };
  }
}

/** The label of a record: whose it is. */
const recordOf = "deployd/record-of";

/** Says which object an error is about. */
const about = async <T>(object: KubeObject, work: Promise<T>): Promise<T> =>
  work.catch((error) => {
    throw new Error(`${titleOf(refOf(object))}: ${error.message}`);
  });

/** What goes wrong with each of these objects: a repository is told of everything at once. */
async function problems(objects: KubeObject[], check: (object: KubeObject) => Promise<void>): Promise<string[]> {
  const found: string[] = [];
  for (const object of objects)
    await check(object).catch((error: Error) => {
      // The others would wait for an answer as long as this one has.
      if (error instanceof Unreachable) throw error;
      found.push(`${titleOf(refOf(object))}: ${error.message}`);
    });
  return found;
}
