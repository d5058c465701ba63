import { dir, network, nodeName } from "./layout.ts";

/** `front-door` signs the certificates of the pages that people use: a browser may trust it, and it opens nothing else. */
export type Authority = "cluster" | "front-proxy" | "etcd" | "front-door";
export interface Identity {
  /** The authority that signs it. The API server, etcd and the aggregation layer each trust only one. */
  by: Authority;
  user: string;
  group?: string;
  /** A server's DNS names and addresses. A client has none. */
  serves?: string[];
}

const apiNames = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/** Every user of a certificate. Kubernetes' built-in roles refer to the `system:` users by these names. */
export const identities = {
  "api-server": {
    by: "cluster",
    user: "kube-apiserver",
    serves: [...apiNames, "localhost", "127.0.0.1", network.address, network.apiService],
  },
  "api-server-to-kubelet": { by: "cluster", user: "kube-apiserver-kubelet-client", group: "system:masters" },
  "api-server-to-etcd": { by: "etcd", user: "kube-apiserver" },
  "front-proxy": { by: "front-proxy", user: "front-proxy-client" },
  etcd: { by: "etcd", user: "etcd", serves: ["localhost", "127.0.0.1"] },
  kubelet: {
    by: "cluster",
    user: `system:node:${nodeName}`,
    group: "system:nodes",
    serves: [nodeName, network.address],
  },
  "controller-manager": { by: "cluster", user: "system:kube-controller-manager" },
  scheduler: { by: "cluster", user: "system:kube-scheduler" },
  proxy: { by: "cluster", user: "system:kube-proxy" },
  coredns: { by: "cluster", user: "system:coredns" },
  provisioner: { by: "cluster", user: "data-platform:provisioner" },
  policies: { by: "cluster", user: "data-platform:network-policies" },
  traefik: { by: "cluster", user: "data-platform:traefik" },
  authority: { by: "cluster", user: "data-platform:authority" },
  "metrics-server": {
    by: "cluster",
    user: "data-platform:metrics-server",
    // The API server asks it by its Service's name.
    serves: ["metrics-server.kube-system.svc", network.address],
  },
  kwok: { by: "cluster", user: "data-platform:kwok", group: "system:masters" },
  admin: { by: "cluster", user: "data-platform:admin", group: "system:masters" },
} satisfies Record<string, Identity>;
export type IdentityName = keyof typeof identities;

export const authorityFile = (name: Authority, kind: "crt" | "key" = "crt"): string => dir("pki", `${name}-ca.${kind}`);
export const certificateFile = (name: IdentityName): string => dir("pki", `${name}.crt`);
export const keyFile = (name: IdentityName): string => dir("pki", `${name}.key`);
/** Signs and verifies service account tokens. */
export const serviceAccountKey = {
  private: () => dir("pki", "service-account.key"),
  public: () => dir("pki", "service-account.pub"),
};
