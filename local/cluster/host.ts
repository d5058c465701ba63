import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Say, UserError } from "../step.ts";
import type { File } from "./configs.ts";
import { cgroup, cgroupName, gone, killGroup, processesIn, signal } from "./daemons.ts";
import { dir, runDir } from "./layout.ts";

/** Refuses a machine that the embedded cluster cannot run on, saying what to do. */
export function checkMachine(): void {
  if (process.platform !== "linux")
    throw new UserError(
      "The embedded cluster runs on Linux only. On this machine use Docker (the cluster then runs in kind) or another cluster's kubeconfig.",
    );
  if (process.getuid?.() !== 0)
    throw new UserError(
      "The embedded cluster starts containers itself, which takes root. Run this as root (sudo -E), or use Docker, or another cluster's kubeconfig.",
    );
  const longest = dir("kubelet", "device-plugins", "kubelet.sock");
  if (longest.length > 107)
    throw new UserError(
      `The path ${dir()} is too long: sockets in it may have 107 characters. Set PLATFORM_STATE to a shorter one.`,
    );
}

/** Writes only files that differ: kube-proxy exits when its file is written, even with the same content. */
export async function writeFiles(files: File[]): Promise<void> {
  for (const { path, content, mode = 0o600 } of files) {
    if ((await readFile(path, "utf8").catch(() => undefined)) === content) continue;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content, { mode });
  }
}

/** Other users may traverse the cluster's directories but not list them: kubelet's has Secrets, the volumes have data. */
export async function makeDirectories(): Promise<void> {
  for (const path of [dir(), dir("volumes"), dir("kubelet"), dir("etcd"), runDir()])
    await mkdir(path, { recursive: true, mode: 0o711 });
}

/** The cluster's control group in every hierarchy; kubelet requires it. */
export async function makeControlGroups(): Promise<void> {
  for (const root of hierarchies()) await mkdir(join(root, cgroupName), { recursive: true });
  if (existsSync("/sys/fs/cgroup/cgroup.controllers"))
    for (const group of ["/sys/fs/cgroup", join("/sys/fs/cgroup", cgroupName)])
      await writeFile(join(group, "cgroup.subtree_control"), "+cpu +cpuset +memory +pids +io").catch(() => {});
}

/** On cgroup v2 one; on v1 one per controller, and v2's as well if it is mounted (`unified`), since runc uses it too. */
function hierarchies(): string[] {
  if (existsSync("/sys/fs/cgroup/cgroup.controllers")) return ["/sys/fs/cgroup"];
  return readdirSync("/sys/fs/cgroup", { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join("/sys/fs/cgroup", entry.name));
}

/** The first process (PID 1) of each container, to which a runtime sends signals. */
function firstProcesses(): number[] {
  return processesIn(cgroup("kubepods")).filter((pid) => {
    try {
      return /^NSpid:.*\t1$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  });
}

/**
 * Ends the pods' processes: SIGTERM, and SIGKILL after `graceSeconds`. Kubelet is stopped before, so nothing starts
 * them again, and in the API server they stay as they are: the next start finds pods whose containers ended.
 */
export async function stopContainers(graceSeconds: number, say: Say): Promise<void> {
  const first = firstProcesses();
  if (first.length > 0) say(`asking ${first.length} containers to end, for at most ${graceSeconds} s`);
  signal(first, "SIGTERM");
  await gone(() => processesIn(cgroup("kubepods")).length === 0, first.length > 0 ? graceSeconds : 0);
  await killGroup(cgroup("kubepods"));
}

/** Removes our control groups, from the leaves up; their processes must have ended. */
export async function removeControlGroups(): Promise<void> {
  const remove = async (group: string): Promise<void> => {
    if (!existsSync(group)) return;
    for (const entry of readdirSync(group, { withFileTypes: true }))
      if (entry.isDirectory()) await remove(join(group, entry.name));
    await rmdir(group).catch(() => {});
  };
  for (const root of hierarchies()) await remove(join(root, cgroupName));
}
