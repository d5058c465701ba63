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

/** CoreDNS, at the address that kubelet tells every pod. */
function dns(): Manifest[] {
  const protocols = ["UDP", "TCP"].map((protocol) => ({ name: `dns-${protocol.toLowerCase()}`, protocol }));
  return nodeService({ name: "kube-dns", clusterIP: network.dnsService, port: 53, targetPort: ports.dns, protocols });
}

interface NodeService {
  name: string;
  /** Default: Kubernetes chooses one. */
  clusterIP?: string;
  port: number;
  /** Where the process listens, at the node's address. */
  targetPort: number;
  protocols: { name: string; protocol: string }[];
}

/** A Service of a process of the node, not of pods: it has no selector, and its EndpointSlice is listed here. */
function nodeService({ name, clusterIP, port, targetPort, protocols }: NodeService): Manifest[] {
  const metadata = { name, namespace: "kube-system" };
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { ...metadata, labels: { "k8s-app": name } },
      spec: { ...(clusterIP && { clusterIP }), ports: protocols.map((one) => ({ ...one, port, targetPort })) },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      endpoints: [{ addresses: [network.address], conditions: { ready: true } }],
      ports: protocols.map((one) => ({ ...one, port: targetPort })),
    },
  ];
}

/** The API of the pods' use of CPU and memory, as autoscalers ask for it. */
export const metricsApi = {
  apiVersion: "apiregistration.k8s.io/v1",
  kind: "APIService",
  metadata: { name: "v1beta1.metrics.k8s.io" },
};

const gatewayGroup = "gateway.networking.k8s.io";

/** Shows that Gateway API is installed. */
export const gatewayApi = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `httproutes.${gatewayGroup}` },
};

/** Lets the API server answer for metrics-server. `authority` is the PEM of what signed its certificate. */
export function metricsManifests(authority: string): Manifest[] {
  const protocols = [{ name: "https", protocol: "TCP" }];
  const service = { name: "metrics-server", port: 443 };
  return [
    ...nodeService({ ...service, targetPort: ports.metrics, protocols }),
    {
      ...metricsApi,
      spec: {
        group: "metrics.k8s.io",
        version: "v1beta1",
        service: { ...service, namespace: "kube-system" },
        caBundle: Buffer.from(authority).toString("base64"),
        groupPriorityMinimum: 100,
        versionPriority: 100,
      },
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
/** Whose status Traefik writes. */
const gatewayKinds = ["gatewayclasses", "gateways", "httproutes", "grpcroutes", "backendtlspolicies"];

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
      { apiGroups: [""], resources: ["services", "secrets", "nodes", "namespaces", "configmaps"], verbs: readAll },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: readAll },
      { apiGroups: ["networking.k8s.io"], resources: ["ingresses", "ingressclasses"], verbs: readAll },
      { apiGroups: [gatewayGroup], resources: [...gatewayKinds, "referencegrants"], verbs: readAll },
      { apiGroups: [gatewayGroup], resources: gatewayKinds.map((kind) => `${kind}/status`), verbs: ["update"] },
    ]),
    ...role("data-platform:authority", "data-platform:authority", [
      { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs: readAll },
      { apiGroups: [""], resources: ["secrets"], verbs: ["get", "create", "update"] },
    ]),
    ...metricsRoles(),
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

const rbac = { apiVersion: "rbac.authorization.k8s.io/v1" };
const apiGroup = "rbac.authorization.k8s.io";

/** What metrics-server needs to start, and to read the usage from kubelet. */
function metricsRoles(): Manifest[] {
  const name = "data-platform:metrics-server";
  return [
    ...role(name, name, [
      { apiGroups: [""], resources: ["nodes/metrics"], verbs: ["get"] },
      { apiGroups: [""], resources: ["pods", "nodes"], verbs: readAll },
    ]),
    // It asks the API server who its clients are and what they may do.
    bound(`${name}:clients`, name, "system:auth-delegator"),
    // It knows the API server by an authority that is in a ConfigMap.
    {
      ...rbac,
      kind: "RoleBinding",
      metadata: { name, namespace: "kube-system" },
      roleRef: { apiGroup, kind: "Role", name: "extension-apiserver-authentication-reader" },
      subjects: [{ apiGroup, kind: "User", name }],
    },
  ];
}

function role(name: string, user: string, rules: unknown[]): Manifest[] {
  return [{ ...rbac, kind: "ClusterRole", metadata: { name }, rules }, bound(name, user)];
}

/** A binding of a user to a ClusterRole. */
const bound = (name: string, user: string, clusterRole = name): Manifest => ({
  ...rbac,
  kind: "ClusterRoleBinding",
  metadata: { name },
  roleRef: { apiGroup, kind: "ClusterRole", name: clusterRole },
  subjects: [{ apiGroup, kind: "User", name: user }],
});

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
