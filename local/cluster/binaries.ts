import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { cacheDir } from "../paths.ts";
import { type Say, type Step, UserError } from "../step.ts";
import { debianPackages } from "./debian.ts";

/**
 * Binaries of one `go build`. What they are built from is pinned by a Go module of ours, `go/<module>`; a newer version
 * is another pin there and `go mod tidy`. Groups of one module have the same versions of what they share, so that each
 * package is compiled once: etcd and CoreDNS are of the versions that fit Kubernetes' own pins.
 */
interface Group {
  module: string;
  /** What to call them together; their names by default. */
  title?: string;
  /** Binary name to the package it is built from; `.` and below are packages of our own module. */
  binaries: Record<string, string>;
  /** Extra `-X` settings for the linker. */
  stamp?: string;
  /** Needs a C compiler, and these build tags and Debian packages. Everything else is pure Go. */
  cgo?: { tags: string; packages: Record<string, string> };
}

const kubernetesVersion = "v1.36.3";
const cniPlugins = "github.com/containernetworking/plugins/plugins";
const stampKubernetes = `-X k8s.io/component-base/version.gitVersion=${kubernetesVersion}`;

/** In the order they are built: small ones first, so that what needs only them can start while the big one compiles. */
export const groups = {
  crane: { module: "crane", binaries: { crane: "github.com/google/go-containerregistry/cmd/crane" } },
  runc: {
    module: "runc",
    binaries: { runc: "github.com/opencontainers/runc" },
    cgo: {
      tags: "seccomp",
      packages: {
        "libseccomp-dev": "runc links libseccomp to filter the system calls of containers",
        gcc: "runc enters namespaces in C",
        "libc6-dev": "runc enters namespaces in C",
        "pkg-config": "runc's build finds libseccomp through it",
      },
    },
  },
  cni: {
    module: "cni",
    title: "the pods' network plugins",
    binaries: {
      ptp: `${cniPlugins}/main/ptp`,
      loopback: `${cniPlugins}/main/loopback`,
      "host-local": `${cniPlugins}/ipam/host-local`,
      portmap: `${cniPlugins}/meta/portmap`,
    },
  },
  kubernetes: {
    module: "kubernetes",
    title: "Kubernetes",
    binaries: {
      "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
      "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
      "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
      kubelet: "k8s.io/kubernetes/cmd/kubelet",
      "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    },
    stamp: stampKubernetes,
  },
  kubectl: { module: "kubernetes", binaries: { kubectl: "k8s.io/kubernetes/cmd/kubectl" }, stamp: stampKubernetes },
  etcd: { module: "kubernetes", binaries: { etcd: "go.etcd.io/etcd/server/v3" } },
  containerd: {
    module: "containerd",
    binaries: {
      containerd: "github.com/containerd/containerd/v2/cmd/containerd",
      "containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    },
  },
  addons: { module: "kubernetes", binaries: { coredns: "./coredns", provisioner: "./provisioner" } },
  kwok: { module: "kwok", binaries: { kwok: "sigs.k8s.io/kwok/cmd/kwok", "kwok-stages": "./stages" } },
  kind: { module: "kind", binaries: { kind: "sigs.k8s.io/kind" } },
} satisfies Record<string, Group>;

export type GroupName = keyof typeof groups;
type NamesOf<G> = G extends { binaries: infer B } ? keyof B : never;
export type BinaryName = NamesOf<(typeof groups)[GroupName]>;

const sourceDir = (group: Group): string => join(import.meta.dirname, "go", group.module);
const flags = (group: Group): string[] => [
  "-trimpath",
  "-buildvcs=false",
  ...(group.cgo ? ["-tags", group.cgo.tags] : []),
  "-ldflags",
  ["-s -w", group.stamp].filter(Boolean).join(" "),
];
const environment = (group: Group) => ({ CGO_ENABLED: group.cgo ? "1" : "0" });

/** The Go that would build `group` (it may switch toolchains for a module), or why none can. */
async function goVersion(group: Group): Promise<string> {
  const { stdout, exitCode, stderr, code } = await execa("go", ["env", "GOVERSION"], {
    cwd: sourceDir(group),
    reject: false,
  });
  if (code === "ENOENT")
    throw new UserError("The local cluster is built with Go, and there is no `go` on PATH. Install Go 1.26 or newer.");
  if (exitCode !== 0) throw new UserError(`This Go cannot build the local cluster; Go 1.26 or newer can.\n${stderr}`);
  return stdout.trim();
}

/** Every file that decides what comes out, hashed with the flags and the compiler: another pin is another path. */
async function groupDir(name: GroupName): Promise<string> {
  const group: Group = groups[name];
  const hash = createHash("sha256").update(JSON.stringify([flags(group), await goVersion(group), process.arch]));
  const own = Object.values(group.binaries).filter((pkg) => pkg.startsWith("./"));
  const files = ["go.mod", "go.sum", ...own.map((pkg) => join(pkg, "main.go"))];
  for (const file of files) hash.update(`\0${file}\0`).update(await readFile(join(sourceDir(group), file)));
  return join(cacheDir(), "bin", `${name}-${hash.digest("hex").slice(0, 12)}`);
}

/** Runs `go` and hands over each line of what it says as it works. */
async function go(group: Group, args: string[], onLine: (line: string) => void): Promise<string> {
  const child = execa("go", args, { cwd: sourceDir(group), env: environment(group), reject: false, buffer: true });
  for await (const line of child.iterable({ from: "stderr" })) onLine(line);
  const { exitCode, stdout, stderr } = await child;
  if (exitCode === 0) return stdout;
  const last = stderr.split("\n").slice(-15).join("\n");
  throw new UserError(`\`go ${args[0]}\` failed in ${sourceDir(group)}:\n${last}`);
}

/** A new one, and without what an interrupted build left: if that still runs, it fails instead of writing into ours. */
async function emptyDirectory(name: GroupName): Promise<string> {
  const bin = join(cacheDir(), "bin");
  await mkdir(bin, { recursive: true });
  for (const entry of await readdir(bin))
    if (entry.startsWith(`.${name}-`)) await rm(join(bin, entry), { recursive: true, force: true });
  return mkdtemp(join(bin, `.${name}-`));
}

/** Builds that run now: who wants the same one meanwhile waits for it. */
const running = new Map<GroupName, Promise<void>>();

function build(name: GroupName, say: Say): Promise<void> {
  const build = running.get(name) ?? compile(name, say).finally(() => running.delete(name));
  running.set(name, build);
  return build;
}

async function compile(name: GroupName, say: Say): Promise<void> {
  const group: Group = groups[name];
  if (group.cgo) await debianPackages(group.cgo.packages, say);
  const target = await groupDir(name);
  const packages = Object.values(group.binaries);
  const downloading = (line: string) => line.startsWith("go: downloading ") && say(`${name} … ${line.slice(4)}`);
  const toCompile = await go(
    group,
    ["list", "-deps", ...flags(group), "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", ...packages],
    downloading,
  );
  const total = toCompile.split("\n").filter(Boolean).length;
  let done = 0;
  // Built beside the target and renamed at the end: a path in the cache is a whole build, whatever interrupts this one.
  const unfinished = await emptyDirectory(name);
  await go(group, ["build", "-v", ...flags(group), "-o", `${unfinished}/`, ...packages], (line) => {
    if (!downloading(line)) say(`${name} … ${++done}/${Math.max(total, done)} packages`);
  });
  for (const [binary, pkg] of Object.entries(group.binaries))
    await rename(join(unfinished, builtName(pkg)), join(unfinished, binary));
  await rename(unfinished, target);
}

/** What `go build` calls the binary of a package: the last part of its path that is no major version. */
export const builtName = (pkg: string): string =>
  pkg
    .replace(/\/v\d+$/, "")
    .split("/")
    .at(-1)!;

/** The steps that leave these groups in the cache; each is skipped where it already is. */
export function buildSteps(names: GroupName[]): Step[] {
  return names.map((name) => {
    const group: Group = groups[name];
    return {
      title: `Build ${group.title ?? Object.keys(group.binaries).join(", ")}`,
      skip: async () => existsSync(await groupDir(name)) && "in the cache",
      run: (say) => build(name, say),
    };
  });
}

const groupOf = (name: BinaryName): GroupName =>
  (Object.keys(groups) as GroupName[]).find((group) => name in groups[group].binaries)!;

/** The path of a binary, which is built first where the cache lacks it. */
export async function binary(name: BinaryName, say: Say = () => {}): Promise<string> {
  for (const step of buildSteps([groupOf(name)])) if (!(await step.skip?.())) await step.run(say);
  return join(await groupDir(groupOf(name)), name);
}
