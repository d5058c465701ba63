import { setTimeout as pause } from "node:timers/promises";
import { ApiError, type Kube, type Live } from "../kube/client.ts";
import { diagnose, reason } from "../kube/diagnose.ts";
import { readiness } from "../kube/ready.ts";
import { type Say, UserError } from "../local/step.ts";
import type { Evaluation, RandomSource } from "../render/evaluate.ts";
import { keyOf, manifests, titleOf } from "../render/manifests.ts";
import { ConfigError } from "../render/stack.ts";
import { inOrder, reversed } from "./graph.ts";
import { type Plan, type Planned, partition, plan, submitted } from "./plan.ts";
import { type Known, knownOf, StateStore, union } from "./state.ts";
import { Values } from "./values.ts";

/**
 * The engine for machines without `pulumi`: brings a cluster to what the program says by server-side apply.
 *
 * Whatever moment it is killed at, running it again ends well: passwords are stored before anything uses them, what is
 * going to be touched is written down before it is touched, and each call can be made twice.
 */
export interface Run {
  kube: Kube;
  stack: string;
  /** How long one object may take to become ready, or to go, in seconds. */
  timeout: number;
  /** Told about once a second what is waited for. */
  say: Say;
  /** Told each finished change: `created Service dev-core/redis`. */
  report: (line: string) => void;
}

export interface Outcome {
  created: number;
  changed: number;
  replaced: number;
  deleted: number;
  unchanged: number;
}

/** Applies what `evaluated` makes of the passwords that are, or are now, the stack's own. */
export async function apply(run: Run, evaluated: (random: RandomSource) => Promise<Evaluation>): Promise<Outcome> {
  const store = new StateStore(run.kube, run.stack);
  const state = (await store.load()) ?? { values: {}, inventory: [], orphans: [] };
  const values = new Values(state.values);
  const all = manifests(await evaluated(values.source));

  run.say("comparing the program with the cluster");
  const steps = await plan(run.kube, run.stack, all, state);
  const inventory = all.map(
    (manifest): Known => ({
      ...knownOf(manifest),
      ...(steps.adopted.has(manifest.key) && { adopted: true }),
    }),
  );
  const now = new Set(inventory.map(keyOf));
  const orphans = state.orphans.filter((one) => !now.has(keyOf(one)));
  await store.save({
    values: { ...state.values, ...values.used },
    inventory: union(state.inventory, inventory),
    orphans,
  });

  const outcome = await carryOut(
    run,
    steps,
    Object.values(values.used).map(({ value }) => value),
  );

  for (const one of steps.orphan) run.report(`left in the cluster, as configured: ${titleOf(one)}`);
  const left = [...orphans, ...steps.orphan];
  // Data that was left behind may still be locked with a password that nothing uses any more.
  await store.save({
    values: left.length > 0 ? { ...state.values, ...values.used } : values.used,
    inventory,
    orphans: left,
  });
  return outcome;
}

async function carryOut(run: Run, { steps, prune }: Plan, secrets: string[]): Promise<Outcome> {
  const outcome: Outcome = { created: 0, changed: 0, replaced: 0, deleted: 0, unchanged: 0 };
  const progress = new Waiting(run.say, steps.length);
  const nodes = steps.map((step) => ({ key: step.manifest.key, after: step.manifest.dependsOn, step }));
  await inOrder(nodes, async ({ step }) => {
    await bring(run, step, outcome);
    if (!step.manifest.skipAwait) await untilReady(run, step, progress, secrets);
    progress.finish();
  });
  await remove(run, prune);
  outcome.deleted = prune.length;
  return outcome;
}

/** Makes one object what it should be. */
async function bring(run: Run, { manifest, action, live, paths }: Planned, outcome: Outcome): Promise<void> {
  const object = submitted(manifest.object);
  const title = titleOf(object);
  try {
    if (action === "keep") {
      outcome.unchanged++;
      return;
    }
    if (action === "replace") await run.kube.delete(object, live!.metadata.uid);
    // An object on its way out would take the new one's place and then leave it empty.
    if (action === "replace" || action === "create")
      await untilGone(run, object, new Waiting(run.say, 1), action === "create");
    await run.kube.apply(object);
  } catch (error) {
    if (error instanceof ApiError) throw new UserError(`${title}: the cluster refuses it: ${error.message}`);
    throw error;
  }
  if (action === "create") outcome.created++;
  else if (action === "replace") outcome.replaced++;
  else outcome.changed++;
  const which = `${paths.slice(0, 6).join(", ")}${paths.length > 6 ? ", …" : ""}`;
  const what = which && `: ${which}${action === "replace" ? " cannot be changed in place" : ""}`;
  run.report(`${{ create: "created", change: "changed", replace: "replaced" }[action]} ${title}${what}`);
}

async function untilReady(run: Run, { manifest }: Planned, progress: Waiting, secrets: string[]): Promise<void> {
  const title = titleOf(manifest.object);
  const since = Date.now();
  for (let look = 0; ; look++) {
    const live = await run.kube.get(manifest.object);
    if (!live) throw new UserError(`${title}: someone deleted it while it was waited for; run this again`);
    const found = readiness(live);
    if (found.state === "ready") break;
    if (found.state === "failed" || Date.now() - since > run.timeout * 1000)
      throw new UserError(
        await epitaph(run, live, found.state === "failed" ? `failed: ${found.why}` : undefined, found.why, secrets),
      );
    // The pods say more than their owner, once they have had the time to.
    const why = look > 1 ? await reason(run.kube, live) : undefined;
    progress.set(title, why ?? found.why);
    await pause(look < 4 ? 250 : 1000);
  }
  progress.clear(title);
}

async function epitaph(
  run: Run,
  live: Live,
  failed: string | undefined,
  why: string,
  secrets: string[],
): Promise<string> {
  const what = failed ?? `not ready after ${run.timeout} s: ${why}`;
  const details = await diagnose(run.kube, live, secrets).catch(() => "");
  return `${titleOf(live)}: ${what}${details && `\n${details}`}`;
}

/** Waits until an object is gone; with `onlyIfLeaving`, one that is there to stay is not waited for. */
async function untilGone(
  run: Run,
  object: Pick<Known, "apiVersion" | "kind" | "metadata">,
  progress: Waiting,
  onlyIfLeaving = false,
): Promise<void> {
  const title = titleOf(object);
  const since = Date.now();
  for (;;) {
    const live = await run.kube.get(object).catch((error) => {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    });
    if (!live || (onlyIfLeaving && !live.metadata.deletionTimestamp)) break;
    if (Date.now() - since > run.timeout * 1000) {
      const held = [
        ...((live.metadata.finalizers as string[] | undefined) ?? []),
        ...((live.spec?.finalizers as string[] | undefined) ?? []),
      ];
      throw new UserError(
        `${title}: still there ${run.timeout} s after its deletion, held by ${held.join(", ") || "the cluster"}`,
      );
    }
    progress.set(`${title} to go`, "");
    await pause(500);
  }
  progress.clear(`${title} to go`);
}

/** Deletes objects, each after everything that depends on it, and waits until they are gone. */
async function remove(run: Run, objects: Known[]): Promise<void> {
  const progress = new Waiting(run.say, objects.length);
  const nodes = objects.map((object) => ({ key: keyOf(object), after: object.dependsOn, object }));
  await inOrder(reversed(nodes), async ({ object }) => {
    await run.kube.delete(object).catch((error) => {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    });
    await untilGone(run, object, progress);
    progress.finish();
    run.report(`deleted ${titleOf(object)}`);
  });
}

/** Deletes everything that this engine applied for a stack, its passwords with it. */
export async function destroy(run: Run): Promise<{ deleted: number }> {
  const store = new StateStore(run.kube, run.stack);
  const state = await store.load();
  if (!state) return { deleted: 0 };
  const held = state.inventory.filter(({ protect }) => protect);
  if (held.length > 0)
    throw new ConfigError(
      `stack ${run.stack}: protected from deletion: ${held.map(titleOf).join(", ")}; ` +
        "to give up their data for good, set global.protectData to false, run `up` once, then destroy",
    );
  const { prune, orphan } = partition(state.inventory);
  await remove(run, prune);
  for (const one of orphan) run.report(`left in the cluster, as configured: ${titleOf(one)}`);
  const orphans = [...state.orphans, ...orphan];
  if (orphans.length === 0) await store.remove();
  // Data that is left is locked with these passwords.
  else await store.save({ values: state.values, inventory: [], orphans });
  return { deleted: prune.length };
}

/** What is waited for and since when, told in one line. */
class Waiting {
  private readonly since = new Map<string, { start: number; why: string }>();
  private readonly say: Say;
  private readonly total: number;
  private done = 0;

  constructor(say: Say, total: number) {
    this.say = say;
    this.total = total;
  }

  set(title: string, why: string): void {
    this.since.set(title, { start: this.since.get(title)?.start ?? Date.now(), why });
    const parts = [...this.since].map(([what, { start, why }]) => {
      const seconds = Math.round((Date.now() - start) / 1000);
      return `${what} for ${seconds} s${why && ` (${why})`}`;
    });
    const more = parts.length > 3 ? `, and ${parts.length - 3} more` : "";
    this.say(`${this.done} of ${this.total}; waiting for ${parts.slice(0, 3).join(", ")}${more}`);
  }

  clear(title: string): void {
    this.since.delete(title);
  }

  finish(): void {
    this.done++;
  }
}
