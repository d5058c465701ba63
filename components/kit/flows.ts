import type { Front, Network, Pods, Server, Workload } from "./network.ts";
import { samePods } from "./network.ts";

/*
 * The allowed connections of a stack, and the NetworkPolicies and the page that are made from them. Pure functions.
 */

/** A port of pods. Without a number: every port. */
export interface Port {
  protocol: "TCP" | "UDP";
  port?: number;
}

/** Pods that the model does not know: of namespaces with `namespaceLabels`, or of the stack's own namespaces without. */
export interface Clients {
  namespaceLabels?: Record<string, string> | undefined;
  /** Default: all pods of those namespaces. */
  podLabels?: Record<string, string> | undefined;
}

/** One end of a flow. */
export type Peer =
  | { kind: "workload"; workload: Workload }
  | { kind: "clients"; clients: Clients }
  /** Addresses in CIDR notation, in the cluster or outside it. */
  | { kind: "addresses"; name: string; cidrs: readonly string[] };

/** An allowed connection, opened by `from`. */
export interface Flow {
  from: Peer;
  to: Peer;
  ports: Port[];
}

/** What a stack's configuration adds to the model. */
export interface Rules {
  allowFrom: Clients[];
  /** Connections between components that the platform does not make itself: between all workloads of `from` and the Services of `to`. */
  connections: { from: RegExp; to: RegExp }[];
  /** Connections that leave the cluster. */
  outside: { from: RegExp; cidr: string; ports: number[] }[];
  /** Ports of the API server. */
  apiPorts: readonly number[];
}

/** Every address: a NetworkPolicy does not know host names. */
const anywhere = ["0.0.0.0/0", "::/0"] as const;

const tcp = (port: number): Port => ({ protocol: "TCP", port });

/**
 * Every allowed connection. Throws if a component connects to pods that the model does not have, or to a name that is
 * no port of theirs.
 */
export function flows({ workloads, fronts }: Network, rules: Rules): Flow[] {
  const target = (server: Server, client: string) => {
    const workload = workloads.find(({ pods }) => samePods(pods, server.pods));
    if (!workload)
      throw new Error(
        `${client} connects to pods that no workload has: ${server.pods.namespace} ${JSON.stringify(server.pods.labels)}`,
      );
    return { workload, ports: portsOf(workload, server, client) };
  };
  const open = fronts.map(({ server, ...by }) => ({ ...target(server, "a Service"), ...by }));
  const componentOf = ({ name }: Workload) => name.slice(0, name.lastIndexOf("/"));
  const all: Flow[] = [
    ...workloads.flatMap((from) => [
      ...from.connects.map((server) => {
        const { workload, ports } = target(server, from.name);
        return between(from, workload, ports);
      }),
      ...from.outside.map(({ what, url }) => leaving(from, what, anywhere, [tcp(portOfUrl(url))])),
      ...(from.api ? [leaving(from, "Kubernetes API", anywhere, rules.apiPorts.map(tcp))] : []),
    ]),
    ...open.flatMap(({ workload, ports, exposedBy, controller }) => [
      ...(controller ? [entering(controllerPeer(controller), workload, ports)] : []),
      ...(exposedBy ? [entering({ kind: "addresses", name: exposedBy, cidrs: anywhere }, workload, ports)] : []),
      ...rules.allowFrom.map((clients) => entering({ kind: "clients", clients }, workload, ports)),
    ]),
    ...rules.connections.flatMap(({ from, to }) =>
      workloads
        .filter((workload) => from.test(componentOf(workload)))
        .flatMap((client) =>
          open
            .filter(({ workload }) => to.test(componentOf(workload)))
            .map(({ workload, ports }) => between(client, workload, ports)),
        ),
    ),
    ...rules.outside.flatMap(({ from, cidr, ports }) =>
      workloads
        .filter((workload) => from.test(componentOf(workload)))
        .map((client) => leaving(client, cidr, [cidr], ports.map(tcp))),
    ),
  ];
  return merged(all);
}

const controllerPeer = ({ cidr, ...clients }: NonNullable<Front["controller"]>): Peer =>
  cidr ? { kind: "addresses", name: `controller ${cidr}`, cidrs: [cidr] } : { kind: "clients", clients };

const between = (from: Workload, to: Workload, ports: Port[]): Flow => entering(peer(from), to, ports);
const entering = (from: Peer, to: Workload, ports: Port[]): Flow => ({ from, to: peer(to), ports });
const leaving = (from: Workload, name: string, cidrs: readonly string[], ports: Port[]): Flow => ({
  from: peer(from),
  to: { kind: "addresses", name, cidrs },
  ports,
});
const peer = (workload: Workload): Peer => ({ kind: "workload", workload });

function portsOf({ name, ports }: Workload, server: Server, client: string): Port[] {
  if (server.ports === "any") return [{ protocol: "TCP" }];
  return server.ports.map((one) => {
    if (typeof one === "number") return tcp(one);
    const port = ports[one];
    if (port === undefined)
      throw new Error(
        `${client} connects to port ${one} of ${name}, which has ${Object.keys(ports).join(", ") || "none"}`,
      );
    return typeof port === "number" ? tcp(port) : { protocol: "UDP", port: port.udp };
  });
}

const usualPorts: Record<string, number> = { "http:": 80, "https:": 443, "ssh:": 22 };

/** The port of a URL of http, https or ssh. Git's short notation for SSH, `git@host:path`, is none and names no port. */
const portOfUrl = (url: string): number => {
  const { port, protocol } = URL.canParse(url) ? new URL(url) : { port: "", protocol: "ssh:" };
  return port ? Number(port) : (usualPorts[protocol] ?? 443);
};

const keyOf = (of: Peer): string => {
  if (of.kind === "workload") return `pods ${of.workload.pods.namespace} ${of.workload.name}`;
  return of.kind === "clients" ? `clients ${JSON.stringify(of.clients)}` : `addresses ${of.name} ${of.cidrs.join()}`;
};

/** One flow for each pair of peers, with the ports of all, in a stable order. */
function merged(all: Flow[]): Flow[] {
  const byPeers = new Map<string, Flow>();
  for (const flow of all) {
    const key = `${keyOf(flow.from)} → ${keyOf(flow.to)}`;
    const ports = [...(byPeers.get(key)?.ports ?? []), ...flow.ports];
    const distinct = new Map(ports.map((port) => [`${port.protocol} ${port.port ?? ""}`, port]));
    byPeers.set(key, { ...flow, ports: [...distinct.values()].sort((a, b) => (a.port ?? 0) - (b.port ?? 0)) });
  }
  return [...byPeers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, flow]) => flow);
}

/** A NetworkPolicy without the metadata that all objects of the platform have. */
export interface Policy {
  name: string;
  namespace: string;
  spec: {
    podSelector: { matchLabels?: Record<string, string> };
    policyTypes: ("Ingress" | "Egress")[];
    ingress?: { from?: PolicyPeer[]; ports: PolicyPort[] }[];
    egress?: { to?: PolicyPeer[]; ports?: PolicyPort[] }[];
  };
}

type Selector = {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: "In"; values: string[] }[];
};
type PolicyPeer = { ipBlock: { cidr: string } } | { namespaceSelector: Selector; podSelector?: Selector };
type PolicyPort = { protocol: "TCP" | "UDP"; port?: number };

/** Every namespace has this label from Kubernetes, which refuses to change it. */
const namespaceName = "kubernetes.io/metadata.name";

/**
 * The NetworkPolicies of a stack. `namespaces` are those with pods of the platform: in each, every pod is denied what no
 * flow allows, in both directions, but DNS on `dnsPorts`. Clients of `allowFrom` may leave the stack's namespaces for
 * the others. What a node sends to its own pods, such as probes and port-forward, no policy can deny.
 */
export function policies(all: Flow[], namespaces: string[], dnsPorts: readonly number[]): Policy[] {
  const workloads = new Map<string, Workload>();
  for (const { from, to } of all)
    for (const one of [from, to]) if (one.kind === "workload") workloads.set(keyOf(one), one.workload);
  const dns = dnsRule(dnsPorts);
  return [
    ...[...workloads].map(([key, { name, pods }]) => {
      const ingress = all
        .filter(({ to }) => keyOf(to) === key)
        .map(({ from, ports }) => rule("from", from, ports, namespaces));
      const egress = all
        .filter(({ from }) => keyOf(from) === key)
        .map(({ to, ports }) => rule("to", to, ports, namespaces));
      return {
        name: name.replaceAll("/", "-"),
        namespace: pods.namespace,
        spec: {
          podSelector: { matchLabels: pods.labels },
          policyTypes: [
            ...(ingress.length > 0 ? ["Ingress" as const] : []),
            ...(egress.length > 0 ? ["Egress" as const] : []),
          ],
          ...(ingress.length > 0 && { ingress }),
          // With DNS: these policies allow all that is needed before the denial of everything exists.
          ...(egress.length > 0 && { egress: [...egress, dns] }),
        },
      } as Policy;
    }),
    ...namespaces.flatMap((namespace) => [
      ...localClients(all).map((podLabels, index) => ({
        name: `allowed-clients-${index}`,
        namespace,
        spec: clientsLeave(podLabels, namespaces, dns),
      })),
      { name: defaultDeny, namespace, spec: denied(dns) },
    ]),
  ];
}

/** The policy of a namespace that denies what no other allows. Create it after the others, and delete it before them. */
export const defaultDeny = "default-deny";

const denied = (dns: EgressRule): Policy["spec"] => ({
  podSelector: {},
  policyTypes: ["Ingress", "Egress"],
  egress: [dns],
});

type EgressRule = NonNullable<Policy["spec"]["egress"]>[number];

/** To any address: a resolver is a pod, a process of the node (NodeLocal DNSCache), or outside the cluster. */
const dnsRule = (ports: readonly number[]): EgressRule => ({
  ports: ports.flatMap((port) => (["UDP", "TCP"] as const).map((protocol) => ({ protocol, port }))),
});

const localClients = (all: Flow[]): Record<string, string>[] => {
  const labels = all.flatMap(({ from }) =>
    from.kind === "clients" && !from.clients.namespaceLabels ? [JSON.stringify(from.clients.podLabels ?? {})] : [],
  );
  return [...new Set(labels)].map((text) => JSON.parse(text));
};

const inNamespaces = (names: string[]): Selector => ({
  matchExpressions: [{ key: namespaceName, operator: "In", values: names }],
});

/** To every pod of the stack: the policies of the servers decide who gets in. */
const clientsLeave = (matchLabels: Record<string, string>, namespaces: string[], dns: EgressRule): Policy["spec"] => ({
  podSelector: { matchLabels },
  policyTypes: ["Egress"],
  egress: [{ to: [{ namespaceSelector: inNamespaces(namespaces) }] }, dns],
});

function rule<Key extends "from" | "to">(key: Key, other: Peer, ports: Port[], namespaces: string[]) {
  return { [key]: policyPeers(other, namespaces), ports } as Record<Key, PolicyPeer[]> & { ports: PolicyPort[] };
}

function policyPeers(other: Peer, namespaces: string[]): PolicyPeer[] {
  if (other.kind === "addresses") return other.cidrs.map((cidr) => ({ ipBlock: { cidr } }));
  if (other.kind === "workload") return [podsPeer(other.workload.pods)];
  const { namespaceLabels, podLabels } = other.clients;
  return [
    {
      namespaceSelector: namespaceLabels ? { matchLabels: namespaceLabels } : inNamespaces(namespaces),
      ...(podLabels && { podSelector: { matchLabels: podLabels } }),
    },
  ];
}

const podsPeer = ({ namespace, labels }: Pods): PolicyPeer => ({
  namespaceSelector: { matchLabels: { [namespaceName]: namespace } },
  podSelector: { matchLabels: labels },
});

/** Name of a peer, as a page shows it. */
export function peerName(of: Peer): string {
  if (of.kind === "workload") return of.workload.name;
  if (of.kind === "addresses") return of.name;
  const labels = (map: Record<string, string>) =>
    Object.entries(map)
      .map(([key, value]) => `${key}=${value}`)
      .join(", ");
  const { namespaceLabels, podLabels } = of.clients;
  const pods = podLabels ? `pods with ${labels(podLabels)}` : "all pods";
  return `${pods} of ${namespaceLabels ? `namespaces with ${labels(namespaceLabels)}` : "the stack's namespaces"}`;
}

const portName = ({ protocol, port }: Port): string =>
  port === undefined ? "any" : protocol === "UDP" ? `${port}/UDP` : String(port);

/** The page of a stack's flows: a picture between components (Mermaid), and a table between workloads. */
export function flowsPage(stack: string, all: Flow[]): string {
  const componentOf = (of: Peer) => peerName(of).replace(/\/[^/]*$/, "");
  const pairs = new Set(
    all
      .map(({ from, to }) => [componentOf(from), componentOf(to)])
      .filter(([a, b]) => a !== b)
      .map((pair) => JSON.stringify(pair)),
  );
  const ids = new Map(
    [...pairs].flatMap((pair) => JSON.parse(pair) as string[]).map((name) => [name, `n${name.replace(/\W/g, "_")}`]),
  );
  return `<!-- Written by npm run docs from the program. -->
# Network flows of ${stack}

What the NetworkPolicies of the stack ${stack} allow, with monitoring, when \`global.networkPolicies.enabled\` is true. Everything else is denied, in and out, except DNS.
More is allowed by \`global.networkPolicies\`: [configuration](configuration.md). What it protects, and from whom: [security](security.md).

Between components:

\`\`\`mermaid
flowchart LR
${[...ids].map(([name, id]) => `  ${id}["${name}"]`).join("\n")}
${[...pairs]
  .map((pair) => (JSON.parse(pair) as string[]).map((name) => ids.get(name)).join(" --> "))
  .map((line) => `  ${line}`)
  .join("\n")}
\`\`\`

Between workloads, each named by its component and role:

| from | to | ports |
|---|---|---|
${all.map(({ from, to, ports }) => `| ${peerName(from)} | ${peerName(to)} | ${ports.map(portName).join(", ")} |`).join("\n")}
`;
}
