import { existsSync } from "node:fs";
import { mkdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { cgroup, processesIn } from "./daemons.ts";
import { dir, runDir } from "./layout.ts";

/**
 * The mount namespace that containerd, kubelet and the containers live in. What they mount is seen by nobody else and
 * ends with them, however they end; and the paths that they have compiled in, which may belong to another kubelet or
 * containerd of this machine, are directories of ours in there.
 */
export const nodeNamespace = runDir("ns", "mnt");

/** Compiled-in path to the directory that stands there inside of the namespace. */
const ownPaths = (): [string, string][] => [
  ["/var/lib/kubelet", dir("kubelet")],
  ["/var/lib/cni", runDir("cni")],
  ["/var/log/containers", dir("logs", "containers")],
  ["/run/containerd", runDir("shims")],
];

/** Paths that have to be made on this machine for something to stand there. Call it before `createNodeNamespace`. */
export const missingPaths = (): string[] =>
  ownPaths()
    .map(([path]) => path)
    .filter((path) => !existsSync(path));

/** Makes the namespace, unless one is in use. One whose processes have all ended is thrown away with its mounts. */
export async function createNodeNamespace(): Promise<void> {
  const users = ["daemons/containerd", "daemons/kubelet", "kubepods"].flatMap((name) => processesIn(cgroup(name)));
  if (users.length > 0) return;
  await removeNodeNamespace();
  for (const path of ownPaths().flat()) await mkdir(path, { recursive: true, mode: 0o711 });
  await mkdir(join(nodeNamespace, ".."), { recursive: true });
  await writeFile(nodeNamespace, "");
  // A namespace may not be pinned where its own mounts would propagate to.
  await execa("mount", ["--bind", runDir("ns"), runDir("ns")]);
  await execa("mount", ["--make-private", runDir("ns")]);
  // It sees what is mounted on the machine later on, and within it kubelet's mounts reach the containers.
  const binds = ownPaths().map(([path, own]) => `mount --bind '${own}' '${path}'`);
  const script = ["mount --make-rshared /", ...binds].join(" && ");
  await execa("unshare", [`--mount=${nodeNamespace}`, "--propagation", "slave", "/bin/sh", "-c", script]);
}

/** Removes the namespace. `made` are those of its paths that were missing on this machine before. */
export async function removeNodeNamespace(made: string[] = []): Promise<void> {
  for (const path of [nodeNamespace, runDir("ns")])
    while (!(await execa("umount", ["-l", path], { reject: false })).failed);
  for (const path of made) await rmdir(path).catch(() => {}); // Someone else uses it by now.
}
