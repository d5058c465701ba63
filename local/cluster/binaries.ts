import { join } from "node:path";
import { execa } from "execa";
import { type Binaries, buildStep, builtDir } from "../go.ts";
import { type Say, type Step, UserError } from "../step.ts";

/**
 * Groups of one module share the versions of their dependencies, so that each package is compiled once: etcd and CoreDNS
 * have the versions that fit Kubernetes' pins.
 */
interface Group extends Omit<Binaries, "dir"> {
  /** The Go module in `go/` that pins what the binaries are built from. */
  module: string;
}

export const kubernetesVersion = "v1.36.3";
const cniPlugins = "github.com/containernetworking/plugins/plugins";
const stampKubernetes = `-X k8s.io/component-base/version.gitVersion=${kubernetesVersion}`;

/** In build order: small ones first, so that steps which need only them can start while Kubernetes compiles. */
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
  policies: {
    module: "network-policies",
    title: "the enforcement of network policies",
    binaries: { "network-policies": "./enforcer" },
  },
  // The newest of which the module proxy has every dependency.
  traefik: {
    module: "traefik",
    title: "Traefik",
    binaries: { traefik: "github.com/traefik/traefik/v3/cmd/traefik" },
    stamp: "-X github.com/traefik/traefik/v3/pkg/version.Version=3.6.12",
  },
  metrics: {
    module: "metrics-server",
    binaries: { "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server" },
  },
  authority: { module: "kubernetes", title: "the front door's authority", binaries: { authority: "./authority" } },
  kwok: { module: "kwok", binaries: { kwok: "sigs.k8s.io/kwok/cmd/kwok", "kwok-stages": "./stages" } },
  kind: { module: "kind", binaries: { kind: "sigs.k8s.io/kind" } },
  // What a node of kind has beside all that.
  kubeadm: { module: "kubernetes", binaries: { kubeadm: "k8s.io/kubernetes/cmd/kubeadm" }, stamp: stampKubernetes },
  ctr: { module: "containerd", binaries: { ctr: "github.com/containerd/containerd/v2/cmd/ctr" } },
  registry: {
    module: "registry",
    title: "the image registry",
    binaries: { registry: "github.com/distribution/distribution/v3/cmd/registry" },
  },
} satisfies Record<string, Group>;

export type GroupName = keyof typeof groups;
type NamesOf<G> = G extends { binaries: infer B } ? keyof B : never;
export type BinaryName = NamesOf<(typeof groups)[GroupName]>;

/** The steps that build these groups into the cache; a group that is there is skipped. */
export function buildSteps(names: GroupName[]): Step[] {
  return names.map((name) => buildStep(name, binariesOf(name)));
}

/** The folder of our own Go module that pins others. */
export const moduleOf = (module: string): string => join(import.meta.dirname, "go", module);

/** The folders of the Go modules that pin these binaries. */
export const pinsOf = (names: readonly BinaryName[]): string[] => [
  ...new Set(names.map((name) => binariesOf(groupOf(name)).dir)),
];

/** The folder of another's Go module that `go/<module>` pins, downloaded if need be. */
export async function moduleFolder(module: string, name: string): Promise<string> {
  const cwd = moduleOf(module);
  const { failed, stdout, stderr } = await execa("go", ["mod", "download", "-json", name], { cwd, reject: false });
  if (failed) throw new UserError(`\`go mod download ${name}\` failed in ${cwd}:\n${stderr || stdout}`);
  return (JSON.parse(stdout) as { Dir: string }).Dir;
}

const binariesOf = (name: GroupName): Binaries => {
  const group: Group = groups[name];
  return { ...group, dir: moduleOf(group.module) };
};

function groupOf(name: BinaryName): GroupName {
  const group = (Object.keys(groups) as GroupName[]).find((group) => name in groups[group].binaries);
  if (!group) throw new Error(`no group builds ${name}`);
  return group;
}

/** The path of a binary. Builds it if it is not in the cache. */
export async function binary(name: BinaryName, say: Say = () => {}): Promise<string> {
  const group = groupOf(name);
  for (const step of buildSteps([group])) if (!(await step.skip?.())) await step.run(say);
  return join(await builtDir(group, binariesOf(group)), name);
}
