import { existsSync } from "node:fs";
import { mkdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { cgroup, processesIn } from "./daemons.ts";
import { dir, runDir } from "./layout.ts";

/**
 * The mount namespace of containerd, kubelet and the containers. Their mounts are visible only inside and end with their
 * processes. Paths that are compiled into them, and may belong to another kubelet or containerd of this machine, are bind
 * mounts of the cluster's directories inside.
 */
export const nodeNamespace = runDir("ns", "mnt");

/** Each compiled-in path with the directory that is mounted there inside the namespace. */
const ownPaths = (): [string, string][] => [
  ["/var/lib/kubelet", dir("kubelet")],
  ["/var/lib/cni", runDir("cni")],
  ["/var/log/containers", dir("logs", "containers")],
  ["/run/containerd", runDir("shims")],
];

/** Mount points that do not exist on this machine yet. Call it before `createNodeNamespace`. */
export const missingPaths = (): string[] =>
  ownPaths()
    .map(([path]) => path)
    .filter((path) => !existsSync(path));

/** Creates the namespace, unless it is in use. One whose processes have all ended is replaced, with its mounts. */
export async function createNodeNamespace(): Promise<void> {
  const users = ["daemons/containerd", "daemons/kubelet", "kubepods"].flatMap((name) => processesIn(cgroup(name)));
  if (users.length > 0) return;
  await removeNodeNamespace();
  for (const path of ownPaths().flat()) await mkdir(path, { recursive: true, mode: 0o711 });
  await mkdir(join(nodeNamespace, ".."), { recursive: true });
  await writeFile(nodeNamespace, "");
  // The kernel refuses to pin a namespace at a path to which its own mounts would propagate.
  await execa("mount", ["--bind", runDir("ns"), runDir("ns")]);
  await execa("mount", ["--make-private", runDir("ns")]);
  // Later mounts of the machine propagate into it, and kubelet's mounts propagate to the containers.
  const binds = ownPaths().map(([path, own]) => `mount --bind '${own}' '${path}'`);
  const script = ["mount --make-rshared /", ...binds].join(" && ");
  await execa("unshare", [`--mount=${nodeNamespace}`, "--propagation", "slave", "/bin/sh", "-c", script]);
}

/** Removes the namespace. `made` are the mount points that were created for it. */
export async function removeNodeNamespace(made: string[] = []): Promise<void> {
  for (const path of [nodeNamespace, runDir("ns")])
    while (!(await execa("umount", ["-l", path], { reject: false })).failed);
  for (const path of made) await rmdir(path).catch(() => {}); // In use by another program.
}
