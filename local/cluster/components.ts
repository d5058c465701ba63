import { readFileSync } from "node:fs";
import { request } from "node:https";
import { connect } from "node:net";
import { execa } from "execa";
import { localIssuer } from "../../config/front-door.ts";
import { blobDir } from "../images/index.ts";
import { binary } from "./binaries.ts";
import * as configs from "./configs.ts";
import type { Daemon } from "./daemons.ts";
import { dir, network, nodeName, policyQueue, ports } from "./layout.ts";
import { simulatedLabel } from "./manifests.ts";
import { nodeNamespace } from "./namespace.ts";
import { authorityFile, certificateFile, type IdentityName, keyFile, serviceAccountKey } from "./pki.ts";

/** The provisioner's name in storage classes. */
export const provisionerName = "data-platform.local/directory";

/** Every configuration file. Certificates must exist: the administrator's is copied into its kubeconfig. */
export async function configFiles(): Promise<configs.File[]> {
  const clients: IdentityName[] = [
    "controller-manager",
    "scheduler",
    "kubelet",
    "proxy",
    "coredns",
    "provisioner",
    "policies",
    "traefik",
    "authority",
    "metrics-server",
    "kwok",
  ];
  return [
    configs.kubeconfig("admin", dir("kubeconfig")),
    ...clients.map((identity) => configs.kubeconfig(identity, configs.kubeconfigOf(identity))),
    ...configs.containerdFiles({ runc: await binary("runc"), cniPlugin: await binary("ptp") }),
    configs.kubeletFile(),
    configs.proxyFile(),
    configs.corefile(),
  ];
}

/** kwok's stages: the behaviour of simulated nodes and pods. Separate from `configFiles`, since few clusters need kwok. */
export async function kwokFile(): Promise<configs.File> {
  const { stdout } = await execa(await binary("kwok-stages"));
  return { path: dir("config", "kwok.yaml"), content: stdout };
}

const flags = (all: Record<string, string | number | boolean>): string[] =>
  Object.entries(all).map(([name, value]) => `--${name}=${value}`);
const read = (...files: string[]): string[] => files.map((file) => readFileSync(file, "utf8"));

export async function registry(): Promise<Daemon> {
  return {
    name: "registry",
    command: await binary("crane"),
    args: ["registry", "serve", ...flags({ address: `127.0.0.1:${ports.registry}`, disk: blobDir() })],
    listens: [["127.0.0.1", ports.registry]],
    ready: () => answers(`http://127.0.0.1:${ports.registry}/v2/`),
  };
}

export async function etcd(): Promise<Daemon> {
  const client = `https://127.0.0.1:${ports.etcd}`;
  const peer = `https://127.0.0.1:${ports.etcdPeer}`;
  const [ca, cert, key] = [authorityFile("etcd"), certificateFile("etcd"), keyFile("etcd")];
  return {
    name: "etcd",
    command: await binary("etcd"),
    // Without --unsafe-no-fsync: a laptop that loses power would lose the whole cluster.
    args: flags({
      name: nodeName,
      "data-dir": dir("etcd"),
      "listen-client-urls": client,
      "advertise-client-urls": client,
      "listen-peer-urls": peer,
      "initial-advertise-peer-urls": peer,
      "initial-cluster": `${nodeName}=${peer}`,
      "client-cert-auth": true,
      "trusted-ca-file": ca,
      "cert-file": cert,
      "key-file": key,
      "peer-client-cert-auth": true,
      "peer-trusted-ca-file": ca,
      "peer-cert-file": cert,
      "peer-key-file": key,
      "log-level": "warn",
    }),
    reads: read(cert),
    listens: [
      ["127.0.0.1", ports.etcd],
      ["127.0.0.1", ports.etcdPeer],
    ],
    ready: () => answers(`${client}/health`, "etcd", "api-server-to-etcd"),
  };
}

export async function apiServer(): Promise<Daemon> {
  return {
    name: "kube-apiserver",
    command: await binary("kube-apiserver"),
    args: flags({
      "bind-address": network.address,
      "advertise-address": network.address,
      "secure-port": ports.api,
      "service-cluster-ip-range": network.services,
      "authorization-mode": "Node,RBAC",
      "enable-admission-plugins": "NodeRestriction",
      "allow-privileged": true,
      profiling: false,
      "client-ca-file": authorityFile("cluster"),
      "tls-cert-file": certificateFile("api-server"),
      "tls-private-key-file": keyFile("api-server"),
      "etcd-servers": `https://127.0.0.1:${ports.etcd}`,
      "etcd-cafile": authorityFile("etcd"),
      "etcd-certfile": certificateFile("api-server-to-etcd"),
      "etcd-keyfile": keyFile("api-server-to-etcd"),
      "kubelet-certificate-authority": authorityFile("cluster"),
      "kubelet-client-certificate": certificateFile("api-server-to-kubelet"),
      "kubelet-client-key": keyFile("api-server-to-kubelet"),
      "kubelet-preferred-address-types": "InternalIP",
      "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
      "service-account-key-file": serviceAccountKey.public(),
      "service-account-signing-key-file": serviceAccountKey.private(),
      "proxy-client-cert-file": certificateFile("front-proxy"),
      "proxy-client-key-file": keyFile("front-proxy"),
      "requestheader-client-ca-file": authorityFile("front-proxy"),
      "requestheader-allowed-names": "front-proxy-client",
      "requestheader-username-headers": "X-Remote-User",
      "requestheader-group-headers": "X-Remote-Group",
      "requestheader-extra-headers-prefix": "X-Remote-Extra-",
    }),
    reads: read(certificateFile("api-server"), certificateFile("api-server-to-etcd"), serviceAccountKey.public()),
    listens: [[network.address, ports.api]],
    ready: () => answers(`https://${network.address}:${ports.api}/readyz`, "cluster", "admin"),
  };
}

export async function controllerManager(): Promise<Daemon> {
  const kubeconfig = configs.kubeconfigOf("controller-manager");
  return {
    name: "kube-controller-manager",
    command: await binary("kube-controller-manager"),
    args: flags({
      kubeconfig,
      "authentication-kubeconfig": kubeconfig,
      "authorization-kubeconfig": kubeconfig,
      "bind-address": "127.0.0.1",
      "secure-port": ports.controllerManager,
      "leader-elect": false,
      profiling: false,
      "use-service-account-credentials": true,
      "service-account-private-key-file": serviceAccountKey.private(),
      "root-ca-file": authorityFile("cluster"),
      "cluster-signing-cert-file": authorityFile("cluster"),
      "cluster-signing-key-file": authorityFile("cluster", "key"),
      "flex-volume-plugin-dir": dir("kubelet", "volume-plugins"),
    }),
    reads: read(kubeconfig, certificateFile("controller-manager")),
    listens: [["127.0.0.1", ports.controllerManager]],
    ready: () => answers(`https://127.0.0.1:${ports.controllerManager}/healthz`, "any"),
  };
}

export async function scheduler(): Promise<Daemon> {
  const kubeconfig = configs.kubeconfigOf("scheduler");
  return {
    name: "kube-scheduler",
    command: await binary("kube-scheduler"),
    args: flags({
      kubeconfig,
      "authentication-kubeconfig": kubeconfig,
      "authorization-kubeconfig": kubeconfig,
      "bind-address": "127.0.0.1",
      "secure-port": ports.scheduler,
      "leader-elect": false,
      profiling: false,
    }),
    reads: read(kubeconfig, certificateFile("scheduler")),
    listens: [["127.0.0.1", ports.scheduler]],
    ready: () => answers(`https://127.0.0.1:${ports.scheduler}/healthz`, "any"),
  };
}

export async function containerd(): Promise<Daemon> {
  const config = dir("config", "containerd.toml");
  return {
    name: "containerd",
    command: await binary("containerd"),
    namespace: nodeNamespace,
    args: ["--config", config],
    reads: read(config),
    ready: () => listens(configs.containerdSocket),
  };
}

export async function kubelet(): Promise<Daemon> {
  const config = dir("config", "kubelet.yaml");
  return {
    name: "kubelet",
    command: await binary("kubelet"),
    namespace: nodeNamespace,
    args: flags({
      config,
      kubeconfig: configs.kubeconfigOf("kubelet"),
      "root-dir": dir("kubelet"),
      "cert-dir": dir("kubelet", "pki"),
      "hostname-override": nodeName,
      "node-ip": network.address,
    }),
    reads: read(config, certificateFile("kubelet")),
    listens: [
      [network.address, ports.kubelet],
      ["127.0.0.1", ports.kubeletHealth],
    ],
    ready: () => answers(`http://127.0.0.1:${ports.kubeletHealth}/healthz`),
  };
}

export async function proxy(): Promise<Daemon> {
  const config = dir("config", "proxy.yaml");
  return {
    name: "kube-proxy",
    command: await binary("kube-proxy"),
    args: flags({ config }),
    reads: read(config, certificateFile("proxy")),
    listens: [
      ["127.0.0.1", ports.proxyHealth],
      ["127.0.0.1", ports.proxyMetrics],
    ],
    ready: () => answers(`http://127.0.0.1:${ports.proxyHealth}/healthz`),
  };
}

export async function coredns(): Promise<Daemon> {
  const config = dir("config", "Corefile");
  return {
    name: "coredns",
    command: await binary("coredns"),
    args: ["-conf", config],
    reads: read(config, certificateFile("coredns")),
    listens: [
      [network.address, ports.dns],
      ["127.0.0.1", ports.dnsReady],
    ],
    ready: () => answers(`http://127.0.0.1:${ports.dnsReady}/ready`),
  };
}

export async function provisioner(): Promise<Daemon> {
  return {
    name: "provisioner",
    command: await binary("provisioner"),
    args: flags({ kubeconfig: configs.kubeconfigOf("provisioner"), name: provisionerName, root: dir("volumes") }),
    reads: read(certificateFile("provisioner")),
    ready: async () => true,
  };
}

/** Denies what NetworkPolicies deny. Where a policy selects pods, no new connection passes while it does not run. */
export async function networkPolicies(): Promise<Daemon> {
  return {
    name: "network-policies",
    command: await binary("network-policies"),
    args: flags({
      kubeconfig: configs.kubeconfigOf("policies"),
      node: nodeName,
      pods: network.pods,
      queue: policyQueue,
      healthz: `127.0.0.1:${ports.policies}`,
    }),
    reads: read(certificateFile("policies")),
    listens: [["127.0.0.1", ports.policies]],
    ready: () => answers(`http://127.0.0.1:${ports.policies}/healthz`),
  };
}

/**
 * Leads the hosts of Ingresses and HTTPRoutes to the pods' addresses, for browsers on this machine. It reads the Secrets of
 * certificates again when they change.
 *
 * @param hasGatewayApi - whether Gateway API is installed
 */
export async function traefik(hasGatewayApi: boolean): Promise<Daemon> {
  const kubeconfig = configs.kubeconfigOf("traefik");
  const [http, https] = [`127.0.0.1:${ports.http}`, `127.0.0.1:${ports.https}`];
  return {
    name: "traefik",
    command: "/usr/bin/env",
    args: [
      `KUBECONFIG=${kubeconfig}`,
      await binary("traefik"),
      ...flags({
        "providers.kubernetesingress": true,
        // Without its kinds it would ask for them again and again.
        ...(hasGatewayApi && { "providers.kubernetesgateway": true }),
        "entrypoints.http.address": http,
        "entrypoints.http.http.redirections.entrypoint.to": "https",
        "entrypoints.http.http.redirections.entrypoint.scheme": "https",
        // An HTTPRoute that redirects comes first.
        "entrypoints.http.http.redirections.entrypoint.priority": 1,
        "entrypoints.https.address": https,
        // The only one of Ingresses, whose routes would come before the redirection too.
        "entrypoints.https.asdefault": true,
        // Otherwise an Ingress is served there without TLS, with its certificate or not.
        "entrypoints.https.http.tls": true,
        // Of health alone: the dashboard is off.
        "entrypoints.traefik.address": `127.0.0.1:${ports.traefik}`,
        ping: true,
        "global.checknewversion": false,
        "global.sendanonymoususage": false,
        "log.level": "INFO",
      }),
    ],
    reads: read(kubeconfig, certificateFile("traefik")),
    listens: [
      ["127.0.0.1", ports.http],
      ["127.0.0.1", ports.https],
      ["127.0.0.1", ports.traefik],
    ],
    ready: () => answers(`http://127.0.0.1:${ports.traefik}/ping`),
  };
}

/** Signs and renews the certificates of the Ingresses that name it. */
export async function authority(): Promise<Daemon> {
  return {
    name: "authority",
    command: await binary("authority"),
    args: flags({
      kubeconfig: configs.kubeconfigOf("authority"),
      name: localIssuer.name,
      certificate: authorityFile("front-door"),
      key: authorityFile("front-door", "key"),
    }),
    reads: read(certificateFile("authority"), authorityFile("front-door")),
    ready: async () => true,
  };
}

/** Tells autoscalers, by way of the API server, how much CPU and memory each pod uses. */
export async function metricsServer(): Promise<Daemon> {
  const kubeconfig = configs.kubeconfigOf("metrics-server");
  return {
    name: "metrics-server",
    command: await binary("metrics-server"),
    args: flags({
      kubeconfig,
      "authentication-kubeconfig": kubeconfig,
      "authorization-kubeconfig": kubeconfig,
      "bind-address": network.address,
      "secure-port": ports.metrics,
      "tls-cert-file": certificateFile("metrics-server"),
      "tls-private-key-file": keyFile("metrics-server"),
      // It shows kubelet the certificate of its kubeconfig, and trusts one of the cluster's authority alone.
      "kubelet-certificate-authority": authorityFile("cluster"),
      "kubelet-preferred-address-types": "InternalIP",
      "kubelet-use-node-status-port": true,
      // Simulated nodes have no kubelet.
      "node-selector": Object.entries(simulatedLabel)
        .map((label) => label.join("!="))
        .join(),
      "metric-resolution": "15s",
    }),
    reads: read(kubeconfig, certificateFile("metrics-server")),
    listens: [[network.address, ports.metrics]],
    ready: () => answers(`https://${network.address}:${ports.metrics}/livez`, "cluster"),
  };
}

export async function kwok(): Promise<Daemon> {
  const config = dir("config", "kwok.yaml");
  return {
    name: "kwok",
    command: await binary("kwok"),
    args: flags({
      config,
      kubeconfig: configs.kubeconfigOf("kwok"),
      cidr: network.simulatedPods,
      "node-ip": network.address,
      "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
      // As kubelet's. By default its nodes send a heartbeat every ten minutes, and are unknown after one.
      "node-lease-duration-seconds": 40,
      "server-address": `127.0.0.1:${ports.kwok}`,
    }),
    reads: read(config, certificateFile("kwok")),
    listens: [["127.0.0.1", ports.kwok]],
    ready: () => answers(`http://127.0.0.1:${ports.kwok}/healthz`),
  };
}

/** The order in which daemons stop: first those that start containers, last those that keep state. */
export const stopOrder = [
  "kwok",
  "traefik",
  "authority",
  "metrics-server",
  "kubelet",
  "provisioner",
  "kube-scheduler",
  "kube-controller-manager",
  "kube-proxy",
  "network-policies",
  "coredns",
  "kube-apiserver",
  "etcd",
  "containerd",
  "registry",
] as const;

/** Whether a URL answers 200. `trust` is the authority of the server's certificate; `any` accepts a self-signed one. */
async function answers(url: string, trust?: "cluster" | "etcd" | "any", client?: IdentityName): Promise<boolean> {
  if (trust === undefined) return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
  return new Promise((resolve, reject) => {
    const tls = {
      ...(trust === "any" ? { rejectUnauthorized: false } : { ca: read(authorityFile(trust)) }),
      ...(client && { cert: read(certificateFile(client)), key: read(keyFile(client)) }),
    };
    const asked = request(url, { ...tls, timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on("timeout", () => asked.destroy(new Error(`no answer from ${url} within 2 s`)));
    asked.on("error", reject).end();
  });
}

function listens(socket: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const client = connect(socket, () => resolve(true)).on("error", reject);
    client.on("connect", () => client.end());
  });
}
