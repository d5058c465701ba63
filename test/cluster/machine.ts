import { readdirSync, readFileSync } from "node:fs";
import { execa } from "execa";

/** What a cluster could leave behind on this machine. Two of these before and after must be alike. */
export interface Machine {
  processes: string[];
  mounts: string[];
  interfaces: string[];
  rules: string[];
  namespaces: string[];
  cgroups: string[];
  forwarding: string;
}

const lines = (text: string) =>
  text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .sort();
const run = async (command: string, args: string[]) =>
  lines((await execa(command, args, { reject: false })).stdout ?? "");

export async function machine(): Promise<Machine> {
  return {
    processes: daemons(),
    mounts: lines(readFileSync("/proc/self/mounts", "utf8").replace(/,?(size|nr_inodes)=\w+/g, "")),
    interfaces: readdirSync("/sys/class/net").sort(),
    rules: await run("nft", ["list", "ruleset"]),
    namespaces: await run("ip", ["netns", "list"]),
    cgroups: await run("find", ["/sys/fs/cgroup", "-maxdepth", "3", "-type", "d", "-name", "*kube*"]),
    forwarding: readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim(),
  };
}

const ours =
  /^(kube-(apiserver|controller-manager|scheduler|proxy)|kubelet|etcd|containerd(-shim.*)?|coredns|crane|kwok|local-path-provisioner|metrics-server|postgres|redis-server|minio|pause|buildah|pulumi(-resource-\w+)?)$/;

/** Programs of a cluster or of its pods that are running, by name. */
function daemons(): string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        // A zombie process has no command line.
        const [program = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        // Redis and PostgreSQL append their state to the process title.
        const name = program.split(/[: ]/)[0]!.split("/").at(-1)!;
        return ours.test(name) ? [name] : [];
      } catch {
        return [];
      }
    })
    .sort();
}
