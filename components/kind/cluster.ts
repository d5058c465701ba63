import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { stateDir } from "../../config/paths.ts";
import { registryPort } from "./reference.ts";
import { registryHosts } from "./registry-hosts.ts";

/*
 * Definition of this machine's kind cluster and of the registry beside it. Both `./platform`, by commands, and the Pulumi
 * program, by resources (./index.ts), create them from it.
 */

/** kind names the context `kind-` and this. */
export const clusterName = "data-platform";
/** The network that kind puts its nodes in. */
export const networkName = "kind";

/** The registry's container. Nodes reach it by its name, this machine at the published address. */
export const registry = {
  name: `${clusterName}-registry`,
  image: "registry:3.0.0",
  /** In the container. */
  port: 5000,
  published: { address: "127.0.0.1", port: registryPort },
  restart: "unless-stopped",
} as const;

/** The official image's default configuration, for the image built from packages. */
export const registryConfig = {
  version: 0.1,
  storage: { cache: { blobdescriptor: "inmemory" }, filesystem: { rootdirectory: "/var/lib/registry" } },
  http: { addr: `:${registry.port}` },
};

/** What the cluster uses of a machine. */
export interface Machine {
  /** The user's home, mounted at the same path, so that pods can run a checkout in it. */
  home: string;
  /** The directory of containerd's registry hosts: it contains `kindHosts`. */
  certs: string;
  /** Whether it has cgroup v1, which kubelet refuses by default. */
  cgroupV1: boolean;
}

export const thisMachine = (): Machine => ({
  home: homedir(),
  certs: join(stateDir(), "cluster", "kind", "certs.d"),
  // Docker in a virtual machine, on other systems, has cgroup v2.
  cgroupV1: process.platform === "linux" && !existsSync("/sys/fs/cgroup/cgroup.controllers"),
});

/** The node's image if no registry has kind's own: built from packages, with the embedded cluster's Kubernetes. */
export const packagedNode = "kindest/node:v1.36.3";

const kubeletPatch = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nfailCgroupV1: false\n";

/** kind's configuration: one node, of kind's own image unless another is given. */
export const kindConfig = ({ home, certs, cgroupV1 }: Machine, image?: string) => ({
  kind: "Cluster",
  apiVersion: "kind.x-k8s.io/v1alpha4",
  name: clusterName,
  // The default in node images since kind 0.27.
  containerdConfigPatches: [
    '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n',
  ],
  ...(cgroupV1 ? { kubeadmConfigPatches: [kubeletPatch] } : {}),
  nodes: [
    {
      role: "control-plane",
      ...(image ? { image } : {}),
      extraMounts: [
        { hostPath: certs, containerPath: "/etc/containerd/certs.d", readOnly: true },
        { hostPath: home, containerPath: home, readOnly: true },
      ],
    },
  ],
});

/** The files of `Machine.certs`. */
export const kindHosts = () => registryHosts(`http://${registry.name}:${registry.port}`);
