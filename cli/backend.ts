import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { parse, stringify } from "yaml";
import { stateDir } from "../config/paths.ts";
import { UserError } from "../local/step.ts";
import type { StackFile } from "../render/stack.ts";
import type { Target } from "./choose.ts";
import { presentEngine } from "./engine.ts";
import { root } from "./project.ts";
import { contextOf, isLocal, kubeconfigOf } from "./target.ts";

/** A resource in Pulumi's state, as far as it is of interest here. */
export interface StateResource {
  urn: string;
  type: string;
  custom: boolean;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  /** Replaced, and still to be deleted. */
  delete?: boolean;
  protect?: boolean;
}

/** What Pulumi knows of a stack. */
export interface StackState {
  resources: StateResource[];
  /** What an update that was killed had begun. */
  pending: { type: string; resource: StateResource }[];
}

const nothing: StackState = { resources: [], pending: [] };

/**
 * Where Pulumi keeps its state: in the backend that the user is logged in to or names; else in files on this machine,
 * with a passphrase that is made for them.
 */
const home = () => join(stateDir(), "pulumi");

/** The backend's address; undefined for the files on this machine. */
export function loggedIn(): string | undefined {
  if (process.env.PULUMI_BACKEND_URL) return process.env.PULUMI_BACKEND_URL;
  try {
    const credentials = join(process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"), "credentials.json");
    return JSON.parse(readFileSync(credentials, "utf8")).current || token();
  } catch {
    return token();
  }
}

const token = () => (process.env.PULUMI_ACCESS_TOKEN ? "https://api.pulumi.com" : undefined);

/** The variables with which `pulumi` finds the backend. Not that for updates, for which commands would wait. */
export function backendEnvironment(): Record<string, string> {
  const quiet = { PULUMI_SKIP_UPDATE_CHECK: "true" };
  return loggedIn() ? quiet : { ...quiet, PULUMI_BACKEND_URL: `file://${home()}`, ...passphrase() };
}

function passphrase(): Record<string, string> {
  if (process.env.PULUMI_CONFIG_PASSPHRASE !== undefined || process.env.PULUMI_CONFIG_PASSPHRASE_FILE) return {};
  const path = join(home(), "passphrase");
  mkdirSync(home(), { recursive: true, mode: 0o700 });
  // Exclusive: one that exists opens the state that exists.
  if (!existsSync(path)) writeFileSync(path, randomBytes(24).toString("base64url"), { mode: 0o600, flag: "wx" });
  return { PULUMI_CONFIG_PASSPHRASE_FILE: path };
}

/**
 * Writes the project folder that Pulumi runs in, and returns it with the variables of `target`'s cluster. It has the
 * user's stack file with the cluster's context in it. Pulumi notes its encryption salt and the selected stack there,
 * and so leaves the checkout, and what the user has selected in it, as they are.
 */
export function projectFolder(file: StackFile, target?: Target): { workDir: string; env: Record<string, string> } {
  const backend = loggedIn();
  // A folder for each backend: another one's salt is not for this one.
  const workDir = join(home(), backend ? `project-${sha256(backend).slice(0, 12)}` : "project");
  mkdirSync(workDir, { recursive: true, mode: 0o700 });
  const project = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8"));
  writeFileSync(join(workDir, "Pulumi.yaml"), stringify({ ...project, main: join(root, project.main) }));

  const path = join(workDir, `Pulumi.${file.stack}.yaml`);
  const before = existsSync(path) ? parse(readFileSync(path, "utf8")) : {};
  const asWritten = parse(readFileSync(file.path, "utf8")) ?? {};
  // The local cluster is the one of its kubeconfig, for plain `pulumi` too. But a stack that says `cluster: kind` and names
  // no context would make a cluster of its own.
  const makesCluster = (file.config[`${file.project}:global`] as { cluster?: string } | undefined)?.cluster === "kind";
  const context = target && (makesCluster || !isLocal(target)) ? contextOf(target) : undefined;
  const seen = { ...asWritten, config: { ...asWritten.config, ...(context && { "kubernetes:context": context }) } };
  const salt = before?.encryptionsalt && { encryptionsalt: before.encryptionsalt };
  writeFileSync(path, stringify({ ...salt, ...seen }), { mode: 0o600 });
  const kubeconfig = target && kubeconfigOf(target);
  return { workDir, env: { ...backendEnvironment(), ...(kubeconfig && { KUBECONFIG: kubeconfig }) } };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/**
 * What Pulumi knows of a stack; nothing where the backend has no such stack. Only a backend that someone is logged in to
 * needs a `pulumi` for that: files are read as they are, which takes no time.
 */
export async function stateOf(file: StackFile): Promise<StackState> {
  const { project, stack } = file;
  if (!loggedIn()) {
    const path = join(home(), ".pulumi", "stacks", project, `${stack}.json`);
    return existsSync(path) ? stateIn(JSON.parse(readFileSync(path, "utf8")).checkpoint?.latest) : nothing;
  }
  const { workDir: cwd, env } = projectFolder(file);
  const options = {
    cwd,
    env: { ...env, ...(await presentEngine()).environment },
    reject: false,
    stdin: "ignore",
  } as const;
  const { exitCode, stdout, stderr, code } = await execa("pulumi", ["stack", "export", "--stack", stack], options);
  if (code === "ENOENT")
    throw new UserError(
      `stack ${stack}: its state is in a backend, and no pulumi is here to read it; expected pulumi on PATH`,
    );
  if (exitCode === 0) return stateIn(JSON.parse(stdout).deployment);
  if (/no stack named/.test(stderr)) return nothing;
  throw new UserError(`pulumi: ${stderr.trim().split("\n").slice(-5).join("\n")}`);
}

const stateIn = (deployment?: { resources?: StateResource[]; pending_operations?: StackState["pending"] }) => ({
  resources: deployment?.resources ?? [],
  pending: deployment?.pending_operations ?? [],
});

/** More than the stack itself and its providers, or something that was begun. */
export const inUse = ({ resources, pending }: StackState): boolean =>
  pending.length > 0 || resources.some(({ custom, type }) => custom && !type.startsWith("pulumi:"));

/** A pulumi that was killed leaves its lock. Ours are on this machine, so whether its maker lives can be seen. */
export async function breakDeadLock({ project, stack }: StackFile): Promise<void> {
  if (loggedIn()) return;
  const folder = join(home(), ".pulumi", "locks", "organization", project, stack);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith(".json"))) {
    const { pid } = JSON.parse(readFileSync(join(folder, name), "utf8")) as { pid: number };
    // The number may be another program's by now.
    const { stdout } = await execa("ps", ["-p", String(pid), "-o", "comm="], { reject: false });
    if (stdout.includes("pulumi"))
      throw new UserError(
        `pulumi, process ${pid}, of an interrupted run is still at work on stack ${stack}; wait until it has ended`,
      );
  }
  rmSync(folder, { recursive: true });
}
