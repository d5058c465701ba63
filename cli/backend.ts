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

/** Pulumi's state of a stack. */
export interface StackState {
  resources: StateResource[];
  /** Operations that a killed update had begun. */
  pending: { type: string; resource: StateResource }[];
}

const nothing: StackState = { resources: [], pending: [] };

/**
 * The folder of Pulumi's state if the user is logged in to no backend and names none: files on this machine, with a
 * generated passphrase.
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

/** The environment with which `pulumi` finds the backend. Without the update check, for which commands would wait. */
export function backendEnvironment(): Record<string, string> {
  const quiet = { PULUMI_SKIP_UPDATE_CHECK: "true" };
  return loggedIn() ? quiet : { ...quiet, PULUMI_BACKEND_URL: `file://${home()}`, ...passphrase() };
}

function passphrase(): Record<string, string> {
  if (process.env.PULUMI_CONFIG_PASSPHRASE !== undefined || process.env.PULUMI_CONFIG_PASSPHRASE_FILE) return {};
  const path = join(home(), "passphrase");
  mkdirSync(home(), { recursive: true, mode: 0o700 });
  // Exclusive: an existing passphrase decrypts the existing state.
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
  // A folder for each backend: each has its own encryption salt.
  const workDir = join(home(), backend ? `project-${sha256(backend).slice(0, 12)}` : "project");
  mkdirSync(workDir, { recursive: true, mode: 0o700 });
  const project = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8"));
  writeFileSync(join(workDir, "Pulumi.yaml"), stringify({ ...project, main: join(root, project.main) }));

  const path = join(workDir, `Pulumi.${file.stack}.yaml`);
  const before = existsSync(path) ? parse(readFileSync(path, "utf8")) : {};
  const asWritten = parse(readFileSync(file.path, "utf8")) ?? {};
  // KUBECONFIG selects a local cluster, for plain `pulumi` too. With `cluster: kind` a context is needed as well:
  // without one, the program creates a cluster.
  const makesCluster = (file.config[`${file.project}:global`] as { cluster?: string } | undefined)?.cluster === "kind";
  const context = target && (makesCluster || !isLocal(target)) ? contextOf(target) : undefined;
  const copy = { ...asWritten, config: { ...asWritten.config, ...(context && { "kubernetes:context": context }) } };
  const salt = before?.encryptionsalt && { encryptionsalt: before.encryptionsalt };
  writeFileSync(path, stringify({ ...salt, ...copy }), { mode: 0o600 });
  const kubeconfig = target && kubeconfigOf(target);
  return { workDir, env: { ...backendEnvironment(), ...(kubeconfig && { KUBECONFIG: kubeconfig }) } };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/**
 * Pulumi's state of a stack; empty if the backend has no such stack. State files on this machine are read directly;
 * another backend needs `pulumi`.
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

/** Whether a stack has pending operations, or resources other than itself and its providers. */
export const inUse = ({ resources, pending }: StackState): boolean =>
  pending.length > 0 || resources.some(({ custom, type }) => custom && !type.startsWith("pulumi:"));

/**
 * Removes the lock that a killed pulumi left. Locks in files are of this machine, so their process can be looked up.
 */
export async function breakDeadLock({ project, stack }: StackFile): Promise<void> {
  if (loggedIn()) return;
  const folder = join(home(), ".pulumi", "locks", "organization", project, stack);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith(".json"))) {
    const { pid } = JSON.parse(readFileSync(join(folder, name), "utf8")) as { pid: number };
    // Another program may have the PID by now.
    const { stdout } = await execa("ps", ["-p", String(pid), "-o", "comm="], { reject: false });
    if (stdout.includes("pulumi"))
      throw new UserError(
        `pulumi, process ${pid}, of an interrupted run is still at work on stack ${stack}; wait until it has ended`,
      );
  }
  rmSync(folder, { recursive: true });
}
