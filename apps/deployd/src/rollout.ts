import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { type Admitted, isPlatforms, refuse } from "./admission.ts";
import type { Checkout } from "./git.ts";
import { ApiError, type Cluster, type KubeObject, type Ref, Unreachable } from "./kube.ts";
import { difference, digestOf, expires, isKept, keyOf, refOf, replaces, titleOf } from "./objects.ts";
import { emptyRecord, type RecordStore } from "./record.ts";
import { owner, ownership } from "./render.ts";
import type { RepositorySettings } from "./settings.ts";

/** What a commit declares. */
export interface Declared extends Pick<Checkout, "commit" | "digest">, Admitted {
  /** All objects, those that are left out too. */
  rendered: KubeObject[];
}

/** Milliseconds until an object that is replaced has to be gone, and between two requests for it. */
const goneWithin = 30_000;
const askEvery = 500;

/** Makes a namespace equal to what one repository declares. */
export class Rollout {
  private readonly cluster: Cluster;
  private readonly settings: RepositorySettings;
  private readonly records: RecordStore;

  constructor(cluster: Cluster, settings: RepositorySettings, records: RecordStore) {
    this.cluster = cluster;
    this.settings = settings;
    this.records = records;
  }

  /** Applies all that is declared and prunes the rest. If the cluster refuses one object in a dry run, nothing is applied. */
  async deploy(declared: Declared): Promise<void> {
    const { commit, digest, objects } = declared;
    const wanted = await this.unexpired(objects);
    refuse(await problems(wanted, (object) => this.refuseOthers(object)));
    const replaced = new Set<KubeObject>();
    refuse(await problems(wanted, async (object) => void ((await this.dryRun(object)) && replaced.add(object))));

    const refs = objects.map(refOf);
    const gone = this.undeclared(declared);
    // Recorded before the first object exists: whatever happens, none is forgotten.
    await this.records.save({ objects: [...refs, ...gone] });
    await this.apply(wanted, replaced, commit);

    const { left, kept } = await this.prune(gone);
    await this.records.save({
      ...emptyRecord,
      commit,
      digest,
      deployedAt: new Date().toISOString(),
      objects: [...refs, ...left],
      left,
      kept,
      expiring: expiringOf(objects),
    });
  }

  /** Objects that differ from what is declared, each with how. */
  async drift({ objects }: Declared): Promise<string[]> {
    const found: string[] = [];
    for (const object of await this.unexpired(objects)) {
      const title = titleOf(refOf(object));
      const live = await this.cluster.get(refOf(object), this.settings.namespace);
      if (!live) found.push(`${title}: missing`);
      else if (await this.differs(object)) found.push(`${title}: changed`);
    }
    return found;
  }

  /** Whether an object is to be deleted: pruning is on, and no annotation keeps the object. */
  prunable(declared: Declared | undefined): boolean {
    if (!declared || !this.settings.prune) return false;
    const kept = new Set(this.records.current.kept.map(keyOf));
    return this.undeclared(declared).some((ref) => !kept.has(keyOf(ref)));
  }

  /** Objects that were applied once and are no longer declared. An object that is left out is still declared. */
  undeclared({ rendered }: Declared): Ref[] {
    const declared = new Set(rendered.map((object) => keyOf(refOf(object))));
    return this.records.current.objects.filter((ref) => !declared.has(keyOf(ref)));
  }

  /** The objects without Jobs that were applied as they are declared, have finished, and were deleted for that. */
  async unexpired(objects: KubeObject[]): Promise<KubeObject[]> {
    const found: KubeObject[] = [];
    for (const object of objects) if (!(await this.hasExpired(object))) found.push(object);
    return found;
  }

  private async hasExpired(object: KubeObject): Promise<boolean> {
    if (!expires(object)) return false;
    const ref = refOf(object);
    if (this.records.current.expiring[keyOf(ref)] !== digestOf(object)) return false;
    return (await about(object, this.cluster.get(ref, this.settings.namespace))) === undefined;
  }

  /** Refuses an object that exists and belongs to someone else. */
  private async refuseOthers(object: KubeObject): Promise<void> {
    const ref = refOf(object);
    const live = await this.cluster.get(ref, this.settings.namespace);
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

  /** Applies an object in a dry run. Returns whether the existing one has to be deleted first. */
  private async dryRun(object: KubeObject): Promise<boolean> {
    const { cluster } = this;
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
    // Under another name, since the API server would compare it with the existing one.
    const name = `${object.metadata.name.slice(0, 40).replace(/[^a-z0-9]+$/, "")}-replaced`;
    await cluster.apply({ ...object, metadata: { ...object.metadata, name } }, namespace, true);
    const live = await cluster.get(refOf(object), namespace);
    if (live?.spec?.persistentVolumeClaimRetentionPolicy?.whenDeleted === "Delete")
      throw new Error(
        "its claims would be deleted with it: set persistentVolumeClaimRetentionPolicy.whenDeleted to Retain first",
      );
    return true;
  }

  /** Applies objects in order. Those before one that is refused are recorded. */
  private async apply(objects: KubeObject[], replaced: Set<KubeObject>, commit: string): Promise<void> {
    const applied: KubeObject[] = [];
    try {
      for (const object of objects) {
        await about(object, this.put(object, replaced.has(object)));
        applied.push(object);
      }
    } catch (error) {
      if (applied.length > 0)
        await this.records.save({
          expiring: { ...this.records.current.expiring, ...expiringOf(applied) },
          partial: { commit, applied: applied.map((object) => titleOf(refOf(object))) },
        });
      throw error;
    }
  }

  /** Applies an object. With `replace`, deletes the existing one first. */
  private async put(object: KubeObject, replace: boolean): Promise<void> {
    const { cluster } = this;
    const { namespace } = this.settings;
    const ref = refOf(object);
    const live = replace || this.adopts(ref) ? await cluster.get(ref, namespace) : undefined;
    if (live && replace) await this.remove(live, object);
    else if (live && !live.metadata.labels?.[ownership]) await cluster.adopt(live, namespace);
    await cluster.apply(object, namespace);
  }

  /** Deletes an object that is replaced by another, and waits until it is gone. Claims stay. */
  private async remove(live: KubeObject, next: KubeObject): Promise<void> {
    const { cluster } = this;
    const { namespace } = this.settings;
    const ref = refOf(live);
    // The new StatefulSet takes over the old one's pods, if it selects the same ones.
    const orphan = live.kind === "StatefulSet" && isDeepStrictEqual(live.spec?.selector, next.spec?.selector);
    await cluster.delete(ref, namespace, live.metadata.uid ?? "", orphan);
    const until = Date.now() + goneWithin;
    while ((await cluster.get(ref, namespace))?.metadata.uid === live.metadata.uid) {
      if (Date.now() > until) throw new Error("is still being deleted; it is made again once it is gone");
      await sleep(askEvery);
    }
  }

  /** Deletes what is no longer declared, if `prune` is on. Returns what stays, and which of that an annotation keeps. */
  private async prune(gone: Ref[]): Promise<{ left: Ref[]; kept: Ref[] }> {
    const { namespace, prune } = this.settings;
    const left: Ref[] = [];
    const kept: Ref[] = [];
    for (const ref of gone) {
      const live = await this.cluster.get(ref, namespace);
      if (live?.metadata.labels?.[ownership] !== owner(this.settings)) continue;
      if (isKept(live)) kept.push(ref);
      else if (!prune) left.push(ref);
      else await this.cluster.delete(ref, namespace, live.metadata.uid ?? "");
    }
    return { left: [...left, ...kept], kept };
  }

  private async differs(object: KubeObject): Promise<boolean> {
    try {
      return (await difference(this.cluster, object, this.settings.namespace)) !== "";
    } catch (error) {
      if (error instanceof ApiError && error.immutable) return true;
      throw error;
    }
  }
}

/** Of the Jobs that Kubernetes deletes once they have finished, the digest by their key. */
const expiringOf = (objects: KubeObject[]): Record<string, string> =>
  Object.fromEntries(objects.filter(expires).map((object) => [keyOf(refOf(object)), digestOf(object)]));

/** Adds the object's name to an error. */
const about = async <T>(object: KubeObject, work: Promise<T>): Promise<T> =>
  work.catch((error) => {
    throw new Error(`${titleOf(refOf(object))}: ${error.message}`);
  });

/** The problem of each of these objects: one report has all of them. */
async function problems(objects: KubeObject[], check: (object: KubeObject) => Promise<void>): Promise<string[]> {
  const found: string[] = [];
  for (const object of objects)
    await check(object).catch((error: Error) => {
      // Each of the others would wait for the same timeout.
      if (error instanceof Unreachable) throw error;
      found.push(`${titleOf(refOf(object))}: ${error.message}`);
    });
  return found;
}
