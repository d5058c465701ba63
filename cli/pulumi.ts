import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { parse, stringify } from "yaml";
import { canBuildEngine, engineEnvironment, engineSteps, isEngineBuilt } from "../local/engine/index.ts";
import { cacheDir, stateDir } from "../local/paths.ts";
import { type Say, type Step, UserError } from "../local/step.ts";
import type { StackFile } from "../render/stack.ts";
import type { FoundPulumi, PresentPulumi, Target } from "./choose.ts";
import type { StateResource } from "./deployed.ts";
import { onInterrupt } from "./interrupt.ts";
import { root } from "./project.ts";
import { contextOf, isLocal, kubeconfigOf } from "./target.ts";

/** Where a pulumi of our own goes when the machine has none. */
const own = () => join(cacheDir(), "pulumi");

type Probe = () => Promise<boolean>;

/** The first that holds. A later one is not asked before: asking for a download takes time. */
export async function firstOf<Name extends string>(probes: [Name, Probe][]): Promise<Name | undefined> {
  for (const [name, holds] of probes) if (await holds()) return name;
  return undefined;
}

const answers = async (command: string) =>
  (await execa(command, ["version"], { reject: false, env: quiet })).exitCode === 0;

const present: [PresentPulumi, Probe][] = [
  ["on PATH", () => answers("pulumi")],
  ["installed here before", () => answers(join(own(), "bin", "pulumi"))],
  ["built here before", isEngineBuilt],
];

/** Where a download would come from; a machine that cannot reach it should not wait for long to learn that. */
const isDownloadable: Probe = () =>
  fetch("https://get.pulumi.com", { method: "HEAD", signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  );

/** The pulumi of this machine, or how it can come here: the user's own, then Pulumi's release, then a build. */
export const findPulumi = (): Promise<FoundPulumi | undefined> =>
  firstOf<FoundPulumi>([...present, ["can be installed", isDownloadable], ["can be built", canBuildEngine]]);

/** What brings a pulumi here that is not here yet. */
export function pulumiSteps(found: FoundPulumi | undefined): Step[] {
  if (found === "can be installed") return [{ title: "Pulumi, kept in this machine's cache", run: installPulumi }];
  return found === "can be built" ? engineSteps() : [];
}

/** What to add to the environment so that `pulumi` is the one that is on this machine. */
export async function pulumiEnvironment(): Promise<Record<string, string>> {
  // Not for the others: their plugins are Pulumi's own.
  if ((await firstOf(present)) === "built here before") return engineEnvironment();
  return { PATH: `${process.env.PATH}:${join(own(), "bin")}` };
}

/** Downloads the release that the SDK fits to. */
async function installPulumi(say: Say): Promise<void> {
  say("downloading");
  const { PulumiCommand } = await import("@pulumi/pulumi/automation/index.js");
  await PulumiCommand.install({ root: own() });
}

const quiet = { PULUMI_SKIP_UPDATE_CHECK: "true" };

/**
 * The Pulumi engine, run on this project. Someone who is logged in gets their backend. Everyone else gets one in
 * files on this machine, with a passphrase of its own, and a project folder beside it: there Pulumi can note its
 * encryption salt without changing the checkout.
 */
export class Pulumi {
  private readonly file: StackFile;
  private readonly home = join(stateDir(), "pulumi");
  private readonly environment: Record<string, string>;

  private constructor(file: StackFile, environment: Record<string, string>) {
    this.file = file;
    this.environment = environment;
  }

  /** With the pulumi that is on this machine now. */
  static of = async (file: StackFile): Promise<Pulumi> => new Pulumi(file, await pulumiEnvironment());

  /** Whether a backend has this stack with something in it. */
  async hasResources(): Promise<boolean> {
    return inUse(await this.resources());
  }

  /** The stack's resources, from its state; none where no backend has the stack. */
  async resources(): Promise<StateResource[]> {
    const { project, stack } = this.file;
    if (!loggedIn()) {
      // Read as it lies there: this must be known on a machine whose pulumi is gone, too.
      const path = join(this.home, ".pulumi", "stacks", project, `${stack}.json`);
      if (!existsSync(path)) return [];
      return JSON.parse(readFileSync(path, "utf8")).checkpoint?.latest?.resources ?? [];
    }
    const exported = await this.pulumi(["stack", "export", "--stack", stack], { target: undefined, reject: false });
    return exported.exitCode === 0 ? (JSON.parse(exported.stdout).deployment?.resources ?? []) : [];
  }

  /** Returns what was done, as counts. */
  async up(target: Target, say: Say): Promise<string> {
    const env = await this.prepare(say);
    // A local cluster can be thrown away behind Pulumi's back: let it look at what is really there.
    const refresh = isLocal(target) ? ["--refresh"] : [];
    return this.update(["up", "--yes", "--skip-preview", ...refresh], { target, env }, say);
  }

  async destroy(target: Target, say: Say): Promise<void> {
    await this.prepare(say);
    await this.update(
      ["destroy", "--yes", "--skip-preview", ...(isLocal(target) ? ["--refresh"] : [])],
      { target },
      say,
    );
  }

  /** Sees to it that there is a stack that can be worked on. Returns what Pulumi needs to be told about it. */
  private async prepare(say: Say): Promise<Record<string, string>> {
    const { stack } = this.file;
    if (!loggedIn()) await this.breakDeadLock();
    const known = await this.pulumi(["stack", "export", "--stack", stack], { target: undefined, reject: false });
    if (known.exitCode === 0) {
      const { deployment } = JSON.parse(known.stdout);
      refuseOwnCluster(stack, deployment?.resources);
      const pending: { type: string }[] = deployment?.pending_operations ?? [];
      if (!pending.some(({ type }) => type === "creating")) return {};
      // What a killed run was about to make may be there, and is then ours to go on with.
      return { PULUMI_K8S_UPSERT_EXISTING_OBJECTS: "true", PULUMI_K8S_ENABLE_PATCH_FORCE: "true" };
    }
    if (!/no stack named/.test(known.stderr)) throw new UserError(`pulumi: ${lastLines(known.stderr)}`);
    say("making the stack");
    await this.pulumi(["stack", "init", stack, "--no-select"], { target: undefined });
    return {};
  }

  private async update(
    command: string[],
    options: { target: Target; env?: Record<string, string> },
    say: Say,
  ): Promise<string> {
    const args = [
      ...command,
      "--stack",
      this.file.stack,
      "--non-interactive",
      "--color",
      "never",
      "--suppress-outputs",
    ];
    const output: string[] = [];
    const child = this.pulumi(args, { ...options, reject: false });
    // Told to stop once, Pulumi finishes what is under way and notes how far it came.
    const done = onInterrupt(async () => {
      child.kill("SIGINT");
      await child;
    });
    for await (const line of child.iterable({ from: "all" })) {
      // Of the built engine all plugins are found in this way.
      if (/warning: using pulumi-\S+ from \$PATH/.test(line)) continue;
      output.push(line);
      // Its signs of life are dots; how long it takes is shown anyway.
      if (line.trim() && !line.startsWith("@ ")) say(line.trim());
    }
    const { exitCode } = await child;
    done();
    const from = Math.max(
      0,
      output.findIndex((line) => line.startsWith("Diagnostics:")),
    );
    if (exitCode !== 0)
      throw new UserError(
        `pulumi ${command[0]} failed:\n${output
          .slice(from || -30)
          .join("\n")
          .trimEnd()}`,
      );
    const counts = output.slice(output.indexOf("Resources:") + 1);
    return counts
      .slice(0, counts.indexOf(""))
      .map((line) => line.trim())
      .join(", ");
  }

  private pulumi(args: string[], options: { target?: Target; env?: Record<string, string>; reject?: boolean }) {
    const { cwd, configFile, env } = this.workspace(options.target);
    const kubeconfig = options.target && kubeconfigOf(options.target);
    const which = configFile && ["up", "destroy"].includes(args[0]!) ? ["--config-file", configFile] : [];
    return execa("pulumi", [...args, ...which], {
      cwd,
      all: true,
      stdin: "ignore",
      reject: options.reject ?? true,
      // A process group of its own: ^C reaches it once, through us, and not a second time, which would make it give up.
      detached: true,
      env: { ...quiet, ...this.environment, ...env, ...options.env, ...(kubeconfig && { KUBECONFIG: kubeconfig }) },
    });
  }

  /** Where Pulumi runs, and the stack file it sees: the user's own, with the chosen context in it. */
  private workspace(target: Target | undefined): { cwd: string; configFile?: string; env: Record<string, string> } {
    const name = `Pulumi.${this.file.stack}.yaml`;
    const asWritten = parse(readFileSync(this.file.path, "utf8")) ?? {};
    // The local cluster's too: a stack that says `cluster: kind` and names no context would make a cluster of its own.
    const chosen = target && contextOf(target);
    const context = chosen && { "kubernetes:context": chosen };
    const seen = { ...asWritten, config: { ...asWritten.config, ...context } };
    mkdirSync(this.home, { recursive: true, mode: 0o700 });
    if (loggedIn()) {
      if (!context && this.file.path === join(root, name)) return { cwd: root, env: {} };
      const configFile = join(this.home, name);
      writeFileSync(configFile, stringify(seen), { mode: 0o600 });
      return { cwd: root, configFile, env: {} };
    }
    const cwd = join(this.home, "project");
    mkdirSync(cwd, { recursive: true, mode: 0o700 });
    const project = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8"));
    writeFileSync(join(cwd, "Pulumi.yaml"), stringify({ ...project, main: join(root, project.main ?? ".") }));
    const before = existsSync(join(cwd, name)) ? parse(readFileSync(join(cwd, name), "utf8")) : {};
    const salt = before?.encryptionsalt && { encryptionsalt: before.encryptionsalt };
    writeFileSync(join(cwd, name), stringify({ ...salt, ...seen }), { mode: 0o600 });
    return { cwd, env: { PULUMI_BACKEND_URL: `file://${this.home}`, ...this.passphrase() } };
  }

  private passphrase(): Record<string, string> {
    if (process.env.PULUMI_CONFIG_PASSPHRASE !== undefined || process.env.PULUMI_CONFIG_PASSPHRASE_FILE) return {};
    const path = join(this.home, "passphrase");
    // Exclusive: one that exists opens the state that exists.
    if (!existsSync(path)) writeFileSync(path, randomBytes(24).toString("base64url"), { mode: 0o600, flag: "wx" });
    return { PULUMI_CONFIG_PASSPHRASE_FILE: path };
  }

  /** A pulumi that was killed leaves its lock. Ours are on this machine, so whether its maker lives can be seen. */
  private async breakDeadLock(): Promise<void> {
    const folder = join(this.home, ".pulumi", "locks", "organization", this.file.project, this.file.stack);
    if (!existsSync(folder)) return;
    for (const name of readdirSync(folder).filter((entry) => entry.endsWith(".json"))) {
      const { pid } = JSON.parse(readFileSync(join(folder, name), "utf8")) as { pid: number };
      // The number may be another program's by now.
      const { stdout } = await execa("ps", ["-p", String(pid), "-o", "comm="], { reject: false });
      if (stdout.includes("pulumi"))
        throw new UserError(
          `pulumi, process ${pid}, of an interrupted run is still at work on stack ${this.file.stack}; wait until it has ended`,
        );
    }
    rmSync(folder, { recursive: true });
  }
}

/** More than the stack itself and its providers. */
const inUse = (resources: { custom: boolean; type: string }[] = []) =>
  resources.some(({ custom, type }) => custom && !type.startsWith("pulumi:"));

/** The cluster of a stack that made its own is one of its resources: named from outside, it would be deleted as not wanted any more. */
export function refuseOwnCluster(stack: string, resources: { type: string }[] = []): void {
  if (resources.some(({ type }) => type === "data-platform:index:Kind"))
    throw new UserError(
      `stack ${stack}: Pulumi made its kind cluster, which is a part of the stack; expected ` +
        `\`pulumi up --stack ${stack}\` or \`pulumi destroy --stack ${stack}\``,
    );
}

const lastLines = (text: string) => text.trim().split("\n").slice(-5).join("\n");

function loggedIn(): boolean {
  if (process.env.PULUMI_BACKEND_URL || process.env.PULUMI_ACCESS_TOKEN) return true;
  try {
    const home = process.env.PULUMI_HOME ?? join(homedir(), ".pulumi");
    return Boolean(JSON.parse(readFileSync(join(home, "credentials.json"), "utf8")).current);
  } catch {
    return false;
  }
}
