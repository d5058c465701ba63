import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import * as toml from "smol-toml";
import { stringify } from "yaml";
import { registryHosts } from "../../components/kind/registry-hosts.ts";
import { cgroupName } from "./daemons.ts";
import { dir, network, nodeName, ports, runDir } from "./layout.ts";
import { authorityFile, certificateFile, type IdentityName, identities, keyFile } from "./pki.ts";

/** A configuration file of a component. */
export interface File {
  path: string;
  content: string;
  /** Default 0600. */
  mode?: number;
}

export const containerdSocket = runDir("containerd.sock");
const apiServer = `https://${network.address}:${ports.api}`;

/** A kubeconfig of `identity`. Refers to its key in `pki`; the administrator's has it inline, so that the file can be copied. */
export function kubeconfig(identity: IdentityName, path: string): File {
  const name = identity === "admin" ? "data-platform" : identities[identity].user;
  const embedded = (file: string) => readFileSync(file).toString("base64");
  const inline = identity === "admin";
  const authority = authorityFile("cluster");
  return {
    path,
    content: stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "data-platform",
      clusters: [
        {
          name: "data-platform",
          cluster: {
            server: apiServer,
            ...(inline
              ? { "certificate-authority-data": embedded(authority) }
              : { "certificate-authority": authority }),
          },
        },
      ],
      users: [
        {
          name,
          user: inline
            ? {
                "client-certificate-data": embedded(certificateFile(identity)),
                "client-key-data": embedded(keyFile(identity)),
              }
            : { "client-certificate": certificateFile(identity), "client-key": keyFile(identity) },
        },
      ],
      contexts: [{ name: "data-platform", context: { cluster: "data-platform", user: name } }],
    }),
  };
}

/** The path of a daemon's kubeconfig. */
export const kubeconfigOf = (identity: IdentityName): string => dir("config", `${identity}.kubeconfig`);

export const pauseImage = "registry.k8s.io/pause:3.10";

export function containerdFiles(binaries: { runc: string; cniPlugin: string }): File[] {
  const config = {
    version: 3,
    root: dir("containerd"),
    state: runDir("containerd"),
    // Ignores the configuration of another containerd on this machine.
    imports: [],
    disabled_plugins: [
      "io.containerd.internal.v1.tracing",
      "io.containerd.nri.v1.nri",
      "io.containerd.snapshotter.v1.blockfile",
      "io.containerd.snapshotter.v1.btrfs",
      "io.containerd.snapshotter.v1.devmapper",
      "io.containerd.snapshotter.v1.erofs",
      "io.containerd.snapshotter.v1.zfs",
    ],
    grpc: { address: containerdSocket },
    plugins: {
      "io.containerd.internal.v1.opt": { path: dir("containerd", "opt") },
      "io.containerd.cri.v1.images": {
        pinned_images: { sandbox: pauseImage },
        registry: { config_path: dir("config", "certs.d") },
      },
      "io.containerd.cri.v1.runtime": {
        // Without CAP_SYS_RESOURCE (inside another sandbox) no process may protect itself from the OOM killer.
        restrict_oom_score_adj: !mayRaisePriority(),
        netns_mounts_under_state_dir: true,
        cni: {
          bin_dirs: [dirname(binaries.cniPlugin)],
          conf_dir: dir("config", "cni"),
          use_internal_loopback: true,
        },
        containerd: {
          runtimes: {
            runc: {
              runtime_type: "io.containerd.runc.v2",
              options: { BinaryName: binaries.runc, Root: runDir("runc"), SystemdCgroup: false },
            },
          },
        },
      },
    },
  };
  const cni = {
    cniVersion: "1.0.0",
    name: "data-platform",
    plugins: [
      {
        // A veth pair for each pod, and routing by the host. With a bridge, Services between pods of a node would need
        // net.bridge.bridge-nf-call-iptables, a setting of the whole machine.
        type: "ptp",
        ipMasq: false,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: network.pods, gateway: network.address }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true }, backend: "nftables", snat: true },
    ],
  };
  return [
    { path: dir("config", "containerd.toml"), content: toml.stringify(config) },
    { path: dir("config", "cni", "10-data-platform.conflist"), content: JSON.stringify(cni, null, 2) },
    ...registryHosts().map(({ path, content }) => ({ path: dir("config", "certs.d", path), content, mode: 0o644 })),
  ];
}

function mayRaisePriority(): boolean {
  const capSysResource = 1n << 24n;
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${effective}`) & capSysResource) !== 0n;
}

/** Not systemd-resolved's stub: it listens on the machine's loopback, which pods cannot reach. */
const resolvConf = (): string =>
  ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"].find((path) => existsSync(path)) ?? "";

export function kubeletFile(): File {
  const config = {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: network.address,
    port: ports.kubelet,
    readOnlyPort: 0,
    healthzBindAddress: "127.0.0.1",
    healthzPort: ports.kubeletHealth,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: authorityFile("cluster") },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: certificateFile("kubelet"),
    tlsPrivateKeyFile: keyFile("kubelet"),
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroupName}`,
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: mayRaisePriority() ? -999 : 0,
    clusterDomain: "cluster.local",
    clusterDNS: [network.dnsService],
    resolvConf: resolvConf(),
    podLogsDir: dir("logs", "pods"),
    volumePluginDir: dir("kubelet", "volume-plugins"),
    makeIPTablesUtilChains: false,
    maxPods: 250,
    serializeImagePulls: false,
    maxParallelImagePulls: 4,
    registryPullQPS: 0,
    // The user's disk may be nearly full all the time: that evicts no pod and deletes no image.
    evictionHard: {
      "memory.available": "100Mi",
      "nodefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "imagefs.available": "0%",
      "imagefs.inodesFree": "0%",
    },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
  };
  return { path: dir("config", "kubelet.yaml"), content: stringify(config) };
}

export function proxyFile(): File {
  const config = {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    hostnameOverride: nodeName,
    bindAddress: "0.0.0.0",
    clientConnection: { kubeconfig: kubeconfigOf("proxy") },
    clusterCIDR: network.cluster,
    detectLocalMode: "ClusterCIDR",
    // Node ports listen on the cluster's address only, not on this machine's networks.
    nodePortAddresses: [`${network.address}/32`],
    healthzBindAddress: `127.0.0.1:${ports.proxyHealth}`,
    metricsBindAddress: `127.0.0.1:${ports.proxyMetrics}`,
    oomScoreAdj: 0,
    // Changes none of the machine's conntrack settings.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    nftables: { minSyncPeriod: "0s" },
  };
  return { path: dir("config", "proxy.yaml"), content: stringify(config) };
}

export function corefile(): File {
  const nameservers = /^\s*nameserver\s/m.test(
    existsSync("/etc/resolv.conf") ? readFileSync("/etc/resolv.conf", "utf8") : "",
  );
  const content = `.:${ports.dns} {
  bind ${network.address}
  errors
  ready 127.0.0.1:${ports.dnsReady}
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ${kubeconfigOf("coredns")} data-platform
    fallthrough in-addr.arpa ip6.arpa
    ttl 5
  }
  ${nameservers ? "forward . /etc/resolv.conf" : "# This machine asks no name server, so neither do pods."}
  cache 5
}
`;
  return { path: dir("config", "Corefile"), content, mode: 0o644 };
}
