import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import { admit } from "./admission.ts";
import type { Git } from "./git.ts";
import type { Cluster } from "./kube.ts";
import type { Metrics } from "./metrics.ts";
import { type Failure, RecordStore } from "./record.ts";
import { render } from "./render.ts";
import { type Declared, Rollout } from "./rollout.ts";
import type { RepositorySettings } from "./settings.ts";
import * as status from "./status.ts";

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

/** How many commits are fetched and read at a time: each may take a quarter of the volume. */
const reads = pLimit(3);

/** Seconds until the next attempt, after so many failures: 2, 4, 8 … up to five minutes. */
export const backoff = (failures: number): number => Math.min(300, 2 ** failures);

/** One repository, kept deployed in a loop of its own, so that a slow one delays no other. */
export class Deployment {
  readonly settings: RepositorySettings;
  private readonly tools: Tools;
  private readonly records: RecordStore;
  private readonly rollout: Rollout;
  private readonly stopping = new AbortController();
  private loop: Promise<void> = Promise.resolve();
  private wake: () => void = () => {};
  /** A check, or a sync of everything, that was asked for and is still to come. */
  private asked: "look" | "sync" | undefined;

  private head: string | null = null;
  private checkedAt: string | null = null;
  /** What the newest commit that could be read declares. */
  private declared: Declared | undefined;
  private drift: string[] = [];
  private deploying = false;
  private failure: Failure | undefined;
  private failures = 0;
  private retryAt = 0;

  constructor(settings: RepositorySettings, tools: Tools) {
    this.settings = settings;
    this.tools = tools;
    this.records = new RecordStore(tools.cluster, settings);
    this.rollout = new Rollout(tools.cluster, settings, this.records);
  }

  /** Begins, once `after` has ended. */
  start(after: Promise<unknown> = Promise.resolve()): void {
    this.loop = after.then(() => this.run());
  }

  /** Gives up what it waits for, and finishes what it has begun to apply. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake();
    await this.loop;
  }

  /** Checks the repository at once; with `sync`, also applies everything again. */
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

  /** Milliseconds until the next check. A repository that does not answer is asked less and less often. */
  private pause(): number {
    const interval = this.settings.interval * 1000;
    if (!this.failure) return interval;
    const retry = Math.max(0, this.retryAt - Date.now());
    return this.failure.commit ? Math.min(interval, retry || interval) : retry;
  }

  /** Checks the repository and the cluster once, and deploys if either has changed. */
  async round(): Promise<void> {
    const { settings, tools } = this;
    const { signal } = this.stopping;
    const asked = this.asked;
    this.asked = undefined;
    const end = tools.metrics.timed(settings.name);
    let commit: string | null = null;
    try {
      await this.resume();
      const head = await tools.git.head(settings, signal);
      this.checkedAt = new Date().toISOString();
      commit = head;
      const waits = this.failure?.commit === head && Date.now() < this.retryAt && !asked;
      if (!waits) await this.follow(head, asked === "sync");
      // Reported once it is dealt with: until then what runs is what was asked for.
      this.head = head;
      // The deployed version is checked for drift even while a newer one cannot be deployed.
      if (this.declared && this.declared.digest === this.records.current.digest) await this.checkDrift(this.declared);
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

  /** Reads the record of an earlier process, and waits with a commit that failed there as that would have. */
  private async resume(): Promise<void> {
    if (this.records.loaded) return;
    await this.records.load();
    const { failure } = this.records.current;
    if (!failure || this.failure) return;
    this.failure = failure;
    this.failures = failure.attempts ?? 1;
    this.retryAt = Date.parse(failure.at) + backoff(this.failures) * 1000;
  }

  /** Deploys a commit that declares something else than the deployed one; with `sync`, any commit. */
  private async follow(head: string, sync: boolean): Promise<void> {
    const known = this.declared?.commit === head ? this.declared : undefined;
    const declared = known && !sync ? known : await reads(() => this.read(head));
    this.declared = declared;
    const { digest, partial } = this.records.current;
    const changed = declared.digest !== digest || partial !== null;
    if (changed || sync || this.rollout.prunable(declared)) await this.deploy(declared);
  }

  /** Reads what the newest commit declares. */
  private async read(head: string): Promise<Declared> {
    const { settings, tools } = this;
    const { signal } = this.stopping;
    const folder = join(tools.work, randomUUID());
    signal.throwIfAborted();
    await this.records.save({ reading: head });
    try {
      const checkout = await tools.git.checkout(settings, folder, signal);
      const { commit, digest } = checkout;
      const same = this.declared?.digest === digest && this.declared.rendered;
      const rendered = same || (await render(checkout, settings, () => tools.cluster.capabilities(), signal));
      return { commit, digest, rendered, ...(await admit(tools.cluster, rendered, settings)) };
    } finally {
      await rm(folder, { recursive: true, force: true });
      await this.records.save({ reading: null });
    }
  }

  private async deploy(declared: Declared): Promise<void> {
    this.deploying = true;
    try {
      await this.rollout.deploy(declared);
      const { objects, commit } = declared;
      this.tools.log.info(`${this.settings.name}: deployed ${objects.length} objects of commit ${commit.slice(0, 10)}`);
    } finally {
      this.deploying = false;
    }
  }

  private async checkDrift(declared: Declared): Promise<void> {
    const { name, repairDrift } = this.settings;
    this.drift = await this.rollout.drift(declared);
    if (this.drift.length === 0 || !repairDrift) return;
    this.tools.log.info(`${name}: repairing ${this.drift.join(", ")}`);
    await this.deploy(declared);
    this.drift = await this.rollout.drift(declared);
  }

  private async succeeded(): Promise<void> {
    this.failures = 0;
    this.failure = undefined;
    if (this.records.current.failure) await this.records.save({ failure: null });
  }

  private async failed(message: string, commit: string | null): Promise<void> {
    this.failures++;
    const now = Date.now();
    this.retryAt = now + backoff(this.failures) * 1000;
    this.failure = { message, at: new Date(now).toISOString(), commit, attempts: this.failures };
    this.tools.log.warn(`${this.settings.name}: ${message}`);
    // If it cannot be recorded, it is still in memory.
    if (this.records.loaded) await this.records.save({ failure: this.failure }).catch(() => {});
  }

  /** What is known without asking the cluster. */
  brief = () => status.brief(this.state());

  /** Everything about it, with each object as it is in the cluster now. */
  summary = () => status.summary(this.tools.cluster, this.state());

  /** What applying the newest commit that could be read would change; undefined before one could be. */
  async diff() {
    if (!this.declared) return undefined;
    return status.diff(this.tools.cluster, this.rollout, this.settings, this.declared);
  }

  private state(): status.State {
    const { settings, head, checkedAt, declared, drift, deploying, failure, retryAt } = this;
    return { settings, record: this.records.current, head, checkedAt, declared, drift, deploying, failure, retryAt };
  }
}
