import { network, ports } from "./layout.ts";

/** A plain Kubernetes object. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  [field: string]: unknown;
}

export interface SimulatedNodes {
  count: number;
  /** CPUs of each. */
  cpu: number;
  /** Memory of each, as a Kubernetes quantity: `16Gi`. */
  memory: string;
}

/** Objects that the cluster has from its start, in addition to Kubernetes' own. */
export function baseManifests(provisioner: string): Manifest[] {
  return [...dns(), ...storageClasses(provisioner), ...roles()];
}

/** CoreDNS runs on the node, not in a pod, so its Service has no selector and its EndpointSlice is listed here. */
function dns(): Manifest[] {
  const metadata = { name: "kube-dns", namespace: "kube-system", labels: { "k8s-app": "kube-dns" } };
  const protocols = ["UDP", "TCP"].map((protocol) => ({ name: `dns-${protocol.toLowerCase()}`, protocol }));
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: {
        clusterIP: network.dnsService,
        ports: protocols.map((port) => ({ ...port, port: 53, targetPort: ports.dns })),
      },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": "kube-dns" } },
      addressType: "IPv4",
      endpoints: [{ addresses: [network.address], conditions: { ready: true } }],
      ports: protocols.map((port) => ({ ...port, port: ports.dns })),
    },
  ];
}

/** `standard`, the default, and `local-path`, its name in clusters with the local path provisioner. */
function storageClasses(provisioner: string): Manifest[] {
  return ["standard", "local-path"].map((name) => ({
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name, annotations: { "storageclass.kubernetes.io/is-default-class": String(name === "standard") } },
    provisioner,
    reclaimPolicy: "Delete",
    volumeBindingMode: "WaitForFirstConsumer",
    allowVolumeExpansion: true,
  }));
}

const readAll = ["get", "list", "watch"];

function roles(): Manifest[] {
  return [
    ...role("system:coredns", "system:coredns", [
      { apiGroups: [""], resources: ["services", "pods", "namespaces"], verbs: readAll },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: readAll },
    ]),
    ...role("data-platform:network-policies", "data-platform:network-policies", [
      { apiGroups: [""], resources: ["pods", "namespaces"], verbs: readAll },
      { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: readAll },
    ]),
    ...role("data-platform:traefik", "data-platform:traefik", [
      { apiGroups: [""], resources: ["services", "secrets", "nodes"], verbs: readAll },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: readAll },
      { apiGroups: ["networking.k8s.io"], resources: ["ingresses", "ingressclasses"], verbs: readAll },
    ]),
    ...role("data-platform:authority", "data-platform:authority", [
      { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs: readAll },
      { apiGroups: [""], resources: ["secrets"], verbs: ["get", "create", "update"] },
    ]),
    ...role("data-platform:provisioner", "data-platform:provisioner", [
      { apiGroups: [""], resources: ["nodes", "persistentvolumeclaims"], verbs: readAll },
      { apiGroups: [""], resources: ["persistentvolumeclaims/status"], verbs: ["update"] },
      { apiGroups: [""], resources: ["persistentvolumes"], verbs: [...readAll, "create", "update", "patch", "delete"] },
      {
        apiGroups: ["", "events.k8s.io"],
        resources: ["events"],
        verbs: ["create", "update", "patch", "list", "watch"],
      },
      { apiGroups: ["storage.k8s.io"], resources: ["storageclasses", "volumeattachments"], verbs: readAll },
    ]),
  ];
}

function role(name: string, user: string, rules: unknown[]): Manifest[] {
  const apiVersion = "rbac.authorization.k8s.io/v1";
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name };
  const subjects = [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }];
  return [
    { apiVersion, kind: "ClusterRole", metadata: { name }, rules },
    { apiVersion, kind: "ClusterRoleBinding", metadata: { name }, roleRef, subjects },
  ];
}

/** The label of nodes that `--simulated-nodes` made, by which a later `up` with fewer nodes removes the rest. */
export const simulatedLabel = { "data-platform.local/simulated": "true" };

/**
 * Nodes that kwok keeps ready, with pods that it reports as running although nothing runs: to schedule a stack that is too
 * large for this machine. They have no taint, so any pod may be scheduled there; a test that needs the real node selects it.
 */
export function simulatedNodes({ count, cpu, memory }: SimulatedNodes): Manifest[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `simulated-${index}`;
    const resources = { cpu: String(cpu), memory, "ephemeral-storage": "500Gi", pods: "250" };
    return {
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name,
        labels: {
          ...simulatedLabel,
          type: "kwok",
          "kubernetes.io/arch": "amd64",
          "kubernetes.io/os": "linux",
          "kubernetes.io/hostname": name,
          "topology.kubernetes.io/zone": `simulated-${index % 3}`,
        },
        annotations: { "kwok.x-k8s.io/node": "fake" },
      },
      status: { allocatable: resources, capacity: resources },
    };
  });
}
