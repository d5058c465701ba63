import { join, resolve } from "node:path";
import { stateDir } from "../paths.ts";

/** The one node's name. Fixed, and not the machine's: volumes are bound to it, and a machine may be renamed. */
export const nodeName = "local";

/** The cluster's own network. All of it is routed inside this machine: pods have a veth each, and no wire leads there. */
export const network = {
  /** A bridge without ports, which holds the node's address and the routes of what no pod answers to. */
  device: "dp0",
  /** The node's address, which is the pods' gateway too. */
  address: "10.244.0.1",
  /** Everything but Services; pods of the real node and of the simulated ones are its halves. */
  cluster: "10.244.0.0/16",
  pods: "10.244.0.0/17",
  simulatedPods: "10.244.128.1/17",
  services: "10.96.0.0/16",
  /** The first address of `services` is the API server's, by Kubernetes' own rule. */
  apiService: "10.96.0.1",
  dnsService: "10.96.0.10",
} as const;

/** Ports outside the usual ones, so that another Kubernetes or a DNS server on this machine is no obstacle. */
export const ports = {
  /** Everyone's, since image names hold it: `localhost:5001/...`. */
  registry: 5001,
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
} as const;

/** The registry of this machine; what containerd asks before any other. */
export const registryHost = `localhost:${ports.registry}`;

/** What a `down` keeps unless told otherwise: etcd, certificates, volumes, images, logs. */
export const dir = (...parts: string[]): string => resolve(stateDir(), "cluster", ...parts);

/** What lasts as long as the processes do: sockets, mounts, records of what to put back. Short, as a socket's path must be. */
export const runDir = (...parts: string[]): string => join("/run/data-platform", ...parts);

export const kubeconfigPath = (): string => dir("kubeconfig");
export const logFile = (component: string): string => dir("logs", `${component}.log`);
