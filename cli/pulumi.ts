import {
  ConcurrentUpdateError,
  type DestroyOptions,
  LocalWorkspace,
  type PreviewOptions,
  PulumiCommand,
  type Stack,
  type UpOptions,
} from "@pulumi/pulumi/automation/index.js";
import type { Kube } from "../kube/client.ts";
import { reason } from "../kube/diagnose.ts";
import { type Say, UserError } from "../local/step.ts";
import { ConfigError, type StackFile } from "../render/stack.ts";
import { breakDeadLock, projectFolder, type StackState } from "./backend.ts";
import type { Target } from "./choose.ts";
import { presentEngine } from "./engine.ts";
import { isStopping, onInterrupt } from "./interrupt.ts";
import { Progress } from "./progress.ts";

/** The options that an update, a preview and a destruction share. */
type Options = UpOptions & PreviewOptions & DestroyOptions;

/** A failed update, with its progress. */
export class UpdateFailed extends UserError {
  readonly progress: Progress;

  constructor(message: string, progress: Progress) {
    super(message);
    this.progress = progress;
  }
}

/** The Pulumi engine, run on this project by the Automation API. */
export class Pulumi {
  private readonly file: StackFile;
  private readonly stack: Stack;
  private readonly kube: Kube | undefined;
  private readonly isExpected: (warning: string) => boolean;
  private readonly interrupted: boolean;

  private constructor(
    file: StackFile,
    stack: Stack,
    kube: Kube | undefined,
    isExpected: (warning: string) => boolean,
    interrupted: boolean,
  ) {
    this.file = file;
    this.stack = stack;
    this.kube = kube;
    this.isExpected = isExpected;
    this.interrupted = interrupted;
  }

  /**
   * Opens a stack with the installed Pulumi. Creates the stack if the backend does not have it.
   *
   * @param options.state Pulumi's state of the stack
   * @param options.kube to look up why an object is not ready; without it, the engine's messages are shown
   * @param options.adopts whether existing objects may be adopted
   */
  static async open(
    file: StackFile,
    target: Target,
    { state, kube, adopts = false }: { state: StackState; kube?: Kube; adopts?: boolean },
  ): Promise<Pulumi> {
    refuseOwnCluster(file.stack, state.resources);
    await breakDeadLock(file);
    // The SDK looks for the command on this process's own PATH.
    const { environment, isExpected } = await presentEngine();
    Object.assign(process.env, environment);
    const { workDir, env } = projectFolder(file, target);
    // Objects that a killed run was creating may exist. They are the stack's, and are adopted.
    const upsert = adopts || state.pending.some(({ type }) => type === "creating");
    const envVars = { ...env, ...(upsert && { PULUMI_K8S_UPSERT_EXISTING_OBJECTS: "true" }) };
    try {
      const pulumiCommand = await PulumiCommand.get();
      const args = { stackName: file.stack, workDir };
      const stack = await LocalWorkspace.createOrSelectStack(args, { envVars, pulumiCommand });
      return new Pulumi(file, stack, kube, isExpected, state.pending.length > 0);
    } catch (error) {
      throw new UserError(`pulumi, stack ${file.stack}: ${wordsOf(error).join("\n")}`);
    }
  }

  /** Runs `pulumi up`. `total`: the expected number of resources. Those with the URNs in `exclude` stay as they are. */
  async up(total: number, say: Say, exclude: string[] = []): Promise<Progress> {
    const progress = await this.run("up", (options) => this.stack.up(options), total, say, exclude);
    await this.settle();
    return progress;
  }

  /** What `up` would do. */
  async preview(total: number, say: Say, exclude: string[] = []): Promise<Progress> {
    const { envVars } = this.stack.workspace;
    // Otherwise the engine serializes the whole state after each resource: most of the time with a thousand of them.
    // A preview saves no state.
    envVars.PULUMI_SKIP_CHECKPOINTS = "true";
    try {
      return await this.run("preview", (options) => this.stack.preview(options), total, say, exclude);
    } finally {
      delete envVars.PULUMI_SKIP_CHECKPOINTS;
    }
  }

  /** Deletes the stack's resources but those with the URNs in `exclude`. */
  destroy(total: number, say: Say, exclude: string[] = []): Promise<Progress> {
    return this.run("destroy", (options) => this.stack.destroy(options), total, say, exclude);
  }

  /**
   * Removes the pending operations of a killed update from the state. Call it when a later update has repeated them or
   * the objects are deleted: otherwise the engine keeps them for ever, and each later update adopts the objects again.
   */
  async settle(): Promise<void> {
    if (!this.interrupted) return;
    // Not by export and import: the SDK would write every password to a file.
    const clear = { clearPendingCreates: true };
    await this.run(
      "refresh",
      (options) => this.stack.refresh({ ...options, ...clear }),
      0,
      () => {},
    );
  }

  /** Removes the stack and its state from the backend. Objects in a cluster stay. */
  async forget(): Promise<void> {
    await this.stack.workspace.removeStack(this.file.stack, { force: true, preserveConfig: true });
  }

  private async run(
    what: string,
    operation: (options: Options) => Promise<unknown>,
    total: number,
    say: Say,
    exclude: string[] = [],
  ): Promise<Progress> {
    const progress = new Progress(total, this.isExpected);
    const stop = new AbortController();
    const running = operation({
      onEvent: (event) => progress.take(event),
      signal: stop.signal,
      // Others may have changed objects in the cluster, or deleted the cluster.
      refresh: true,
      color: "never",
      suppressOutputs: true,
      suppressProgress: true,
      ...(exclude.length > 0 && { exclude }),
    });
    // After the first signal Pulumi finishes running operations and saves the state; after a second one it aborts.
    const done = onInterrupt(async ({ reachedAll }) => {
      if (!reachedAll) stop.abort();
      await running.catch(() => {});
    });
    const shown = setInterval(() => void this.show(progress, say), 1000);
    try {
      await running;
      return progress;
    } catch (error) {
      if (isStopping()) throw new UserError(`pulumi ${what}: interrupted`);
      if (error instanceof ConcurrentUpdateError)
        throw new UserError(`stack ${this.file.stack}: another update of it is running; wait until it has ended`);
      throw this.explained(what, error, progress);
    } finally {
      clearInterval(shown);
      done();
    }
  }

  /**
   * Shows what the engine waits for. After 3 s, with the reason from the pods, which says more than their owner's
   * status.
   */
  private async show(progress: Progress, say: Say): Promise<void> {
    say(progress.line());
    if (!this.kube) return;
    for (const waiting of [...progress.waiting.values()].slice(0, 3)) {
      if (!waiting.object || Date.now() - waiting.since < 3000) continue;
      const live = await this.kube.get(waiting.object).catch(() => undefined);
      const why = live && (await reason(this.kube, live).catch(() => undefined));
      if (why) waiting.why = why;
    }
  }

  private explained(what: string, error: unknown, progress: Progress): UserError {
    const { stack } = this.file;
    // If a resource has an error, one without a resource only sums it up.
    const precise = progress.problems.some(({ of }) => of);
    const problems = progress.problems
      .filter(({ of }) => of || !precise)
      .map(({ of, message }) => ({
        of,
        message: message.replace(/^(Preview failed: )?before hook "[^"]*" failed: /, ""),
      }));
    // A refusal by the program names the stack and the key.
    const refusals = problems.filter(({ message }) => message.startsWith(`stack ${stack}: `));
    if (refusals.length > 0) return new ConfigError([...new Set(refusals.map(({ message }) => message))].join("\n"));
    const lines = problems.map(({ of, message }) => (of ? `${of}: ${message}` : message));
    const said = lines.length > 0 ? lines : progress.lastWords;
    const text = said.length > 0 ? said : wordsOf(error);
    return new UpdateFailed(`pulumi ${what} of stack ${stack} failed:\n${[...new Set(text)].join("\n")}`, progress);
  }
}

/**
 * Refuses a stack whose kind cluster Pulumi created: the cluster is one of its resources. With a context configured,
 * the program does not have that resource, and Pulumi would delete the cluster.
 */
export function refuseOwnCluster(stack: string, resources: { type: string }[] = []): void {
  if (resources.some(({ type }) => type === "data-platform:index:Kind"))
    throw new UserError(
      `stack ${stack}: Pulumi created its kind cluster, which belongs to the stack; expected ` +
        `\`pulumi up --stack ${stack}\` or \`pulumi destroy --stack ${stack}\``,
    );
}

/** The errors of a failed command, without its command line. */
function wordsOf(error: unknown): string[] {
  const lines = String(error instanceof Error ? error.message : error)
    .split("\n")
    .map((line) => line.trim());
  const errors = lines.flatMap((line) => /^error: (.+)$/.exec(line)?.[1] ?? []);
  return errors.length > 0 ? [...new Set(errors)] : lines.filter(Boolean).slice(0, 5);
}
