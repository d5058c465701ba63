import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Say, UserError } from "../step.ts";
import { logFile, network, runDir } from "./layout.ts";
import { checkFree, type Listen } from "./ports.ts";

/** A process of the cluster, which keeps running after the command that started it. */
export interface Daemon {
  name: string;
  command: string;
  args: string[];
  /** Its mount namespace; the machine's by default. */
  namespace?: string;
  /** Contents of files that it reads only at its start: it is restarted if they change. */
  reads?: string[];
  /** Where it listens; another process there is an error before its start. */
  listens?: Listen[];
  /** Throws or returns false until the daemon is ready. */
  ready: () => Promise<boolean>;
}

/**
 * Each daemon is identified by its control group, not by a pid file: the kernel keeps the list of a group's processes, with
 * their children, so it is correct after any crash and never has a pid that was reused. On cgroup v1 it is the freezer's
 * hierarchy, since membership there has no effect on a process.
 */
export const cgroupName = "data-platform";
const hierarchy = (): string =>
  existsSync("/sys/fs/cgroup/cgroup.controllers") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/freezer";
export const cgroup = (...parts: string[]): string => join(hierarchy(), cgroupName, ...parts);

/** Every process in a control group and those below it. */
export function processesIn(group: string): number[] {
  try {
    const pids = readFileSync(join(group, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
    const below = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...pids, ...below.flatMap((entry) => processesIn(join(group, entry.name)))];
  } catch {
    return []; // The group does not exist, or was removed with its processes while it was read.
  }
}

/** The processes of a daemon. containerd's shims are in its group too, but keep running without it. */
const ownProcesses = (name: string): number[] =>
  processesIn(cgroup("daemons", name)).filter((pid) => !commandOf(pid).includes("containerd-shim"));

/** The main process of a daemon: its parent is not in the group. */
export function pidOf(name: string): number | undefined {
  const own = ownProcesses(name);
  return own.find((pid) => !own.includes(parentOf(pid)));
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return 0;
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

/** The variables that a daemon may need. The caller's whole environment may have secrets of other programs. */
function environment(): Record<string, string> {
  const kept = /^(PATH|HOME|LANG|TZ|SSL_CERT_FILE|SSL_CERT_DIR|https?_proxy|no_proxy)$/i;
  const own = ["127.0.0.1", "localhost", network.cluster, network.services, ".svc", ".cluster.local"];
  const env = Object.fromEntries(Object.entries(process.env).filter(([key, value]) => kept.test(key) && value));
  const noProxy = [env.NO_PROXY ?? env.no_proxy, ...own].filter(Boolean).join(",");
  return { ...(env as Record<string, string>), NO_PROXY: noProxy, no_proxy: noProxy };
}

/** Has the fingerprint of the started daemon; its modification time is the daemon's start. */
const startedFile = (name: string): string => runDir("started", name);
const fingerprint = (daemon: Daemon): string =>
  createHash("sha256")
    .update(JSON.stringify([daemon.command, daemon.args, daemon.reads ?? []]))
    .digest("hex");

/** The start of a daemon, in milliseconds since 1970. */
export const startedAt = async (name: string): Promise<number> => (await stat(startedFile(name))).mtimeMs;

/** Starts a daemon, or restarts one that runs with other arguments or files, and returns when it is ready. */
export async function start(daemon: Daemon, say: Say, timeoutSeconds = 90): Promise<void> {
  const { name } = daemon;
  const wanted = fingerprint(daemon);
  const running = pidOf(name) !== undefined;
  if (running && (await readFile(startedFile(name), "utf8").catch(() => "")) !== wanted) await stop(name, 10);
  if (pidOf(name) === undefined) {
    say(`starting ${name}`);
    await checkFree(name, daemon.listens ?? []);
    await launch(daemon);
    await mkdir(dirname(startedFile(name)), { recursive: true });
    await writeFile(startedFile(name), wanted);
  }

  const deadline = Date.now() + timeoutSeconds * 1000;
  for (let why = "it never answered"; ; await sleep(100)) {
    try {
      if (await daemon.ready()) return;
    } catch (error) {
      why = (error as Error).message;
    }
    if (pidOf(name) === undefined) throw await failure(name, "stopped right after its start");
    if (Date.now() > deadline) throw await failure(name, `was not ready within ${timeoutSeconds} s: ${why}`);
  }
}

async function launch({ name, command, args, namespace }: Daemon): Promise<void> {
  const group = cgroup("daemons", name);
  await mkdir(group, { recursive: true });
  await mkdir(dirname(logFile(name)), { recursive: true });
  const size = await stat(logFile(name)).then(
    (s) => s.size,
    () => 0,
  );
  if (size > 20_000_000) await rename(logFile(name), `${logFile(name)}.1`);
  const log = openSync(logFile(name), "a", 0o640);
  // The shell enters the group before it becomes the daemon, so that the process is in its group from its start.
  // Containers inherit the limit on open files from containerd, and databases need more than a login shell's.
  const script = 'echo $$ > "$0/cgroup.procs" && ulimit -n "$(ulimit -Hn)" && exec "$@"';
  const enter = namespace ? ["nsenter", `--mount=${namespace}`, "--"] : [];
  const child = spawn("/bin/sh", ["-c", script, group, ...enter, command, ...args], {
    cwd: "/",
    detached: true,
    env: environment(),
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  child.unref();
  await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
  // Wait until the shell is in the group: `start` takes an empty group for a daemon that has ended.
  for (let i = 0; i < 50 && pidOf(name) === undefined && child.exitCode === null; i++) await sleep(10);
}

async function failure(name: string, what: string): Promise<UserError> {
  const log = await readFile(logFile(name), "utf8").catch(() => "");
  const last = log.trimEnd().split("\n").slice(-12).join("\n");
  return new UserError(`${name} ${what}. The end of ${logFile(name)}:\n${last}`);
}

/** Stops a daemon: SIGTERM, then SIGKILL to it and its children after `graceSeconds`. containerd's shims keep running. */
export async function stop(name: string, graceSeconds: number): Promise<void> {
  const pid = pidOf(name);
  if (pid !== undefined) {
    signal([pid], "SIGTERM");
    await gone(() => !ownProcesses(name).includes(pid), graceSeconds);
    await killAll(() => ownProcesses(name));
  }
  await rm(startedFile(name), { force: true });
}

/** Kills every process in a group. */
export const killGroup = (group: string): Promise<void> => killAll(() => processesIn(group));

/** Kills until no process is left: one may start another, and one in a system call ends later. */
async function killAll(list: () => number[]): Promise<void> {
  await gone(() => {
    const pids = list();
    signal(pids, "SIGKILL");
    return pids.length === 0;
  }, 30);
}

export function signal(pids: number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended.
    }
  }
}

/** Waits for a condition, for at most `seconds`. Returns whether it became true. */
export async function gone(condition: () => boolean, seconds: number): Promise<boolean> {
  const deadline = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > deadline) return false;
    await sleep(50);
  }
  return true;
}
