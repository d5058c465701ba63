import { join, resolve } from "node:path";
import { registryPort } from "../../components/kind/reference.ts";
import { stateDir } from "../../config/paths.ts";

/** The node's name. Not the machine's host name, which may change: volumes are bound to the node's name. */
export const nodeName = "local";

/** The cluster's network. It is routed inside this machine only: each pod has a veth, and the bridge has no physical port. */
export const network = {
  /** A bridge without ports. It has the node's address, and the routes of addresses that no pod has. */
  device: "dp0",
  /** The node's address, and the pods' gateway. */
  address: "10.244.0.1",
  /** Every address but Services'. One half is for pods of the real node, the other for pods of simulated nodes. */
  cluster: "10.244.0.0/16",
  pods: "10.244.0.0/17",
  simulatedPods: "10.244.128.1/17",
  services: "10.96.0.0/16",
  /** The first address of `services` is the API server's, by Kubernetes' own rule. */
  apiService: "10.96.0.1",
  dnsService: "10.96.0.10",
} as const;

/** Not the default ports, so that another Kubernetes or a DNS server can run on this machine. */
export const ports = {
  /** In image names: `localhost:5001/...`. */
  registry: registryPort,
  api: 26443,
  etcd: 22379,
  etcdPeer: 22380,
  kubelet: 20250,
  kubeletHealth: 20248,
  controllerManager: 20257,
  scheduler: 20259,
  proxyHealth: 20256,
  proxyMetrics: 20249,
  dns: 20053,
  dnsReady: 20080,
  kwok: 20247,
  policies: 20246,
  traefik: 20245,
  metrics: 20244,
  /** What browsers use without a port in the address. Only a cluster with a front door listens there. */
  http: 80,
  https: 443,
} as const;

/** Enforcement of NetworkPolicies: the kernel sends the first packet of a connection to the process on this queue. */
export const policyQueue = 20246;
/** Its nftables tables, as in local/cluster/go/network-policies: one of the two, by what the kernel has. */
export const policyTables = ["inet data-platform-policies", "ip data-platform-policies"];

/** Data that `down` keeps without `--delete-data`: etcd, certificates, volumes, images, logs. */
export const dir = (...parts: string[]): string => resolve(stateDir(), "cluster", ...parts);

/** Files that live as long as the processes: sockets, mounts, what to restore. A short path, since a socket's is limited. */
export const runDir = (...parts: string[]): string => join("/run/data-platform", ...parts);

export const kubeconfigPath = (): string => dir("kubeconfig");
export const logFile = (component: string): string => dir("logs", `${component}.log`);
