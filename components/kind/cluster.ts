import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { stateDir } from "../../config/paths.ts";
import { registryPort } from "./reference.ts";
import { registryHosts } from "./registry-hosts.ts";

/*
 * What the kind cluster of this machine and the registry beside it are, whoever makes them: `./platform` by commands,
 * or the Pulumi program by resources (./index.ts).
 */

/** Also the name of its context, after `kind-`. */
export const clusterName = "data-platform";
/** The network that kind puts its nodes in. */
export const networkName = "kind";

/** The registry's container: its name, which nodes reach it by, and where this machine does. */
export const registry = {
  name: `${clusterName}-registry`,
  image: "registry:3.0.0",
  /** In the container. */
  port: 5000,
  published: { address: "127.0.0.1", port: registryPort },
  restart: "unless-stopped",
} as const;

/** What its own image has as its configuration, for one that is made from packages. */
export const registryConfig = {
  version: 0.1,
  storage: { cache: { blobdescriptor: "inmemory" }, filesystem: { rootdirectory: "/var/lib/registry" } },
  http: { addr: `:${registry.port}` },
};

/** What of a machine the cluster sees. */
export interface Machine {
  /** The user's home, at its own path, so that a checkout there can be run from. */
  home: string;
  /** The directory that says where nodes look images up: it holds `kindHosts`. */
  certs: string;
  /** Whether its control groups are of version 1, which kubelet refuses unless it is told otherwise. */
  cgroupV1: boolean;
}

export const thisMachine = (): Machine => ({
  home: homedir(),
  certs: join(stateDir(), "cluster", "kind", "certs.d"),
  // Where Docker runs in a virtual machine of its own, that has version 2.
  cgroupV1: process.platform === "linux" && !existsSync("/sys/fs/cgroup/cgroup.controllers"),
});

/** The node's image where no registry has kind's own: made from packages, with the Kubernetes of the embedded cluster. */
export const packagedNode = "kindest/node:v1.36.3";

const kubeletPatch = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nfailCgroupV1: false\n";

/** kind's configuration: one node, of kind's own image unless another is given. */
export const kindConfig = ({ home, certs, cgroupV1 }: Machine, image?: string) => ({
  kind: "Cluster",
  apiVersion: "kind.x-k8s.io/v1alpha4",
  name: clusterName,
  // Node images since kind 0.27 look there anyway.
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
