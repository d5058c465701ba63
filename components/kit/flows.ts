import { createHash } from "node:crypto";
import {
  both,
  type Conditions,
  chosen,
  conditionsOf,
  derived,
  type Entry,
  entriesWith,
  forAny,
  inOrder,
  itemsUnder,
  itemsWhen,
  joined,
  missing,
  unless,
  when,
} from "../../config/derived.ts";
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
  /** Connections between components that the platform does not make itself: from all workloads of `from` to the Services of `to`. */
  connections: { from: string; to: string }[];
  /** Connections that leave the cluster. */
  outside: { from: string; cidr: string; ports: number[] }[];
  /** Ports of the API server. */
  api: Port[];
  /** Ports of DNS. */
  dns: Port[];
  /** Keys of the components that `connections` and `outside` name. */
  components: readonly string[];
  /** The key of the component that has a name. */
  componentOf: (name: string) => string | undefined;
}

/** Every address: a NetworkPolicy does not know host names. */
const anywhere = ["0.0.0.0/0", "::/0"] as const;

const tcp = (port: number): Port => ({ protocol: "TCP", port });

/** A port under the conditions of the connections or Services that have it. */
type PortEntry = Entry<Port>;

/**
 * Every allowed connection. Throws if a component connects to pods that the model does not have, or to a name that is
 * no port of theirs.
 */
export function flows(network: Network, rules: Rules): Flow[] {
  const { workloads, fronts } = network;
  const { api } = rules;
  const opened = workloads.flatMap((workload) => {
    const ports = plain(openPorts(network, workload));
    return ports.length > 0 ? [{ workload, ports }] : [];
  });
  const all: Flow[] = [
    ...pairs(network).map(({ from, to, ports }) => between(from, to, plain(ports))),
    ...workloads.flatMap((from) => [
      ...from.outside.map(({ what, url }) => leaving(from, what, anywhere, [tcp(portOfUrl(url))])),
      ...(from.api ? [leaving(from, "Kubernetes API", anywhere, api)] : []),
    ]),
    ...fronts.flatMap(({ server, exposedBy, controller }) => {
      const { workload, ports } = target(network, server, "a Service");
      return [
        ...(controller ? [entering(controllerPeer(controller), workload, ports)] : []),
        ...(exposedBy ? [entering({ kind: "addresses", name: exposedBy, cidrs: anywhere }, workload, ports)] : []),
      ];
    }),
    ...opened.flatMap(({ workload, ports }) =>
      rules.allowFrom.map((clients) => entering({ kind: "clients", clients }, workload, ports)),
    ),
    ...rules.connections.flatMap(({ from, to }) =>
      workloads
        .filter((workload) => keyOf(rules, workload) === from)
        .flatMap((client) =>
          opened
            .filter(({ workload }) => keyOf(rules, workload) === to)
            .map(({ workload, ports }) => between(client, workload, ports)),
        ),
    ),
    ...rules.outside.flatMap(({ from, cidr, ports }) =>
      workloads
        .filter((workload) => keyOf(rules, workload) === from)
        .map((client) => leaving(client, cidr, [cidr], ports.map(tcp))),
    ),
  ];
  return merged(all);
}

/** The key of the component that a workload is of. */
const keyOf = ({ componentOf }: Rules, { name }: Workload): string => componentOf(splitName(name)[0]) ?? "";

/** Component and role of a workload, by its name. */
function splitName(name: string): [string, string] {
  const slash = name.lastIndexOf("/");
  return [name.slice(0, slash), name.slice(slash + 1)];
}

/** The workload of a server, and its ports by number. */
function target({ workloads }: Network, server: Server, client: string): { workload: Workload; ports: Port[] } {
  const workload = workloads.find(({ pods }) => samePods(pods, server.pods));
  if (!workload)
    throw new Error(
      `${client} connects to pods that no workload has: ${server.pods.namespace} ${JSON.stringify(server.pods.labels)}`,
    );
  return { workload, ports: portsOf(workload, server, client) };
}

interface Pair {
  from: Workload;
  to: Workload;
  ports: PortEntry[];
  conditions: Conditions | undefined;
}

/** What workloads connect to: one entry for each pair. The order does not depend on configured values. */
function pairs(network: Network): Pair[] {
  const found = new Map<string, Pair>();
  for (const from of network.workloads)
    for (const server of from.connects) {
      const { workload: to, ports } = target(network, server, from.name);
      const conditions = both(from.conditions, server.conditions);
      const key = `${identity(from)} ${identity(to)}`;
      const known = found.get(key);
      const entries = ports.map((item) => ({ item, conditions }));
      found.set(key, {
        from,
        to,
        ports: [...(known?.ports ?? []), ...entries],
        conditions: known ? forAny([known.conditions, conditions]) : conditions,
      });
    }
  return [...found.values()]
    .map((pair) => ({ ...pair, ports: distinct(pair.ports) }))
    .sort((a, b) => byNames(a.from, b.from) || byNames(a.to, b.to));
}

const identity = ({ pods, name }: Workload) => `${pods.namespace} ${name}`;

function byNames(a: Workload, b: Workload): number {
  const [one, other] = [splitName(a.name), splitName(b.name)];
  const compared = (index: 0 | 1) => (one[index] < other[index] ? -1 : Number(one[index] > other[index]));
  return compared(0) || compared(1);
}

/** Ports of a workload that clients outside the model may use. */
const openPorts = (network: Network, { pods }: Workload): PortEntry[] =>
  distinct(
    network.fronts
      .filter(({ server }) => samePods(server.pods, pods))
      .flatMap(({ server, conditions }) =>
        target(network, server, "a Service").ports.map((item) => ({ item, conditions })),
      ),
  );

const plain = (ports: PortEntry[]): Port[] => ports.map(({ item }) => item);

/** Each port once, by its number. */
function distinct(ports: PortEntry[]): PortEntry[] {
  const found = new Map<string, PortEntry>();
  for (const { item, conditions } of ports) {
    const key = portName(item);
    const known = found.get(key);
    found.set(key, { item, conditions: known ? forAny([known.conditions, conditions]) : conditions });
  }
  return [...found.values()].sort(({ item: a }, { item: b }) => (a.port ?? 0) - (b.port ?? 0));
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
const portOfUrl = derived("portOfUrl", (url: string): number => {
  const { port, protocol } = URL.canParse(url) ? new URL(url) : { port: "", protocol: "ssh:" };
  return port ? Number(port) : (usualPorts[protocol] ?? 443);
});

const peerKey = (of: Peer): string => {
  if (of.kind === "workload") return `pods ${of.workload.pods.namespace} ${of.workload.name}`;
  return of.kind === "clients" ? `clients ${JSON.stringify(of.clients)}` : `addresses ${of.name} ${of.cidrs.join()}`;
};

/** One flow for each pair of peers, with the ports of all, in a stable order. */
function merged(all: Flow[]): Flow[] {
  const byPeers = new Map<string, Flow>();
  for (const flow of all) {
    const key = `${peerKey(flow.from)} → ${peerKey(flow.to)}`;
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
  /** Under which it exists. Only while the Helm chart is written. */
  conditions: Conditions | undefined;
  /** Labels of the workload that it is for. Default: it is for no single one. */
  labels?: Record<string, string>;
  spec: {
    podSelector: { matchLabels?: Record<string, string> };
    policyTypes: ("Ingress" | "Egress")[];
    ingress?: IngressRule[];
    egress?: EgressRule[];
  };
}

type Selector = {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: "In"; values: string[] }[];
};
interface PolicyPeer {
  ipBlock?: { cidr: string };
  namespaceSelector?: Selector;
  podSelector?: Selector;
}
type IngressRule = { from: PolicyPeer[]; ports: Port[] };
type EgressRule = { to?: PolicyPeer[]; ports?: Port[] };

/** Every namespace has this label from Kubernetes, which refuses to change it. */
const namespaceName = "kubernetes.io/metadata.name";

/**
 * The NetworkPolicies of a stack: one for each workload, and for each of `namespaces` that has pods of the platform one
 * that denies what no other allows, in both directions, but DNS. Clients of `allowFrom` may leave the stack's namespaces
 * for the others. What a node sends to its own pods, such as probes and port-forward, no policy can deny.
 */
export function policies(network: Network, rules: Rules, namespaces: readonly string[]): Policy[] {
  const workloads = [...network.workloads].sort(byNames);
  const used = namespaces.flatMap((item) => {
    const inside = workloads.filter(({ pods }) => pods.namespace === item);
    return inside.length > 0 ? [{ item, conditions: forAny(inside.map(({ conditions }) => conditions)) }] : [];
  });
  const dns: EgressRule = { ports: rules.dns };
  const own = inNamespaces(itemsUnder(used));
  const ingress = ingressRules(network, rules, workloads, own);
  const egress = egressRules(network, rules, workloads);
  return [
    ...workloads.map((workload): Policy => {
      const { name, pods, conditions } = workload;
      return {
        name: name.replaceAll("/", "-"),
        namespace: pods.namespace,
        conditions,
        labels: pods.labels,
        spec: {
          podSelector: { matchLabels: pods.labels },
          policyTypes: ["Ingress", "Egress"],
          ingress: ingress(workload),
          // With DNS: these policies allow all that is needed before the denial of everything exists.
          egress: [...egress(workload), dns],
        },
      };
    }),
    ...used.flatMap(({ item: namespace, conditions }): Policy[] => [
      ...entriesWith(rules.allowFrom, {}).flatMap(
        (clients) =>
          unless(clients.namespaceLabels, () => clientsLeave(namespace, conditions, clients, own, dns)) ?? [],
      ),
      { name: defaultDeny, namespace, conditions, spec: denied(dns) },
    ]),
  ];
}

/** Who may connect to a workload. `own`: the stack's namespaces. */
function ingressRules(network: Network, rules: Rules, workloads: Workload[], own: Selector) {
  const all = pairs(network);
  const podsOf = listsOf(rules, workloads, (workload) => [
    { item: podsPeer(workload.pods), conditions: workload.conditions },
  ]);
  const installed = joined(
    itemsUnder(
      rules.components.flatMap((item) => {
        const inside = workloads.filter((workload) => keyOf(rules, workload) === item);
        return inside.length > 0 ? [{ item, conditions: forAny(inside.map(({ conditions }) => conditions)) }] : [];
      }),
    ),
    " ",
  );
  const allowFrom = entriesWith(rules.allowFrom, {}).map((one) => clientsPeer(one, own));
  // By a name, so that the chart has them once.
  const clients = chosen("clients", { allowFrom }, "allowFrom");
  return (workload: Workload): IngressRule[] => {
    const known = workload.conditions ?? [];
    const open = openPorts(network, workload);
    const conditions = forAny(open.map((port) => port.conditions));
    const ports = itemsUnder(open, both(known, conditions));
    const exposed = network.fronts
      .filter(({ server }) => samePods(server.pods, workload.pods))
      .flatMap(({ server, exposedBy, controller, conditions }) => {
        const served = target(network, server, "a Service").ports;
        return [
          ...(exposedBy ? [{ item: { from: anywhere.map(address), ports: served }, conditions }] : []),
          ...(controller ? [{ item: { from: [controllerFrom(controller, own)], ports: served }, conditions }] : []),
        ];
      });
    const configured = () => [
      ...itemsWhen(rules.allowFrom, () => [{ from: clients, ports }]),
      ...entriesWith(rules.connections, { to: keyOf(rules, workload), from: installed }).flatMap(({ from }) =>
        itemsWhen(from, () => [{ from: chosen("pods", podsOf, from), ports }]),
      ),
    ];
    return [
      ...itemsUnder(once(exposed), known),
      // Each under conditions of its own: they are in loops of their own too.
      ...(open.length > 0 ? configured().flatMap((item) => itemsUnder([{ item, conditions }], known)) : []),
      ...itemsUnder(
        all
          .filter(({ to }) => samePods(to.pods, workload.pods))
          .map(({ from, ports, conditions }) => ({
            item: { from: [podsPeer(from.pods)], ports: itemsUnder(ports, both(known, conditions)) },
            conditions,
          })),
        known,
      ),
    ];
  };
}

/** Where a workload may connect to, apart from DNS. */
function egressRules(network: Network, rules: Rules, workloads: Workload[]) {
  const all = pairs(network);
  const serversOf = listsOf(rules, workloads, (workload) => {
    const open = openPorts(network, workload);
    const conditions = both(workload.conditions, forAny(open.map((port) => port.conditions)));
    const ports = itemsUnder(open, conditions);
    return open.length > 0 ? [{ item: { to: [podsPeer(workload.pods)], ports }, conditions }] : [];
  });
  return (workload: Workload): EgressRule[] => {
    const { api, outside } = workload;
    const known = workload.conditions ?? [];
    const key = keyOf(rules, workload);
    const leaving = [
      ...(api ? [{ item: { to: anywhere.map(address), ports: rules.api }, conditions: api.conditions }] : []),
      ...outside.map(({ url, conditions }) => ({
        item: { to: anywhere.map(address), ports: [tcp(portOfUrl(url))] },
        conditions,
      })),
    ];
    return [
      ...itemsUnder(once(leaving), known),
      ...entriesWith(rules.outside, { from: key }).flatMap(({ cidr, ports }) =>
        itemsWhen(cidr, () => [{ to: [address(cidr)], ports: ports.map(tcp) }]),
      ),
      ...itemsUnder(
        all
          .filter(({ from }) => samePods(from.pods, workload.pods))
          .map(({ to, ports, conditions }) => ({
            item: { to: [podsPeer(to.pods)], ports: itemsUnder(ports, both(known, conditions)) },
            conditions,
          })),
        known,
      ),
      ...entriesWith(rules.connections, { from: key }).flatMap(({ to }) => chosen("servers", serversOf, to)),
    ];
  };
}

/** A list for each component, of what its workloads add to it. */
const listsOf = <I>(
  rules: Rules,
  workloads: Workload[],
  entries: (workload: Workload) => Entry<I>[],
): Record<string, I[]> =>
  Object.fromEntries(
    rules.components.map((key) => [
      key,
      itemsUnder(workloads.filter((workload) => keyOf(rules, workload) === key).flatMap(entries)),
    ]),
  );

/** Each rule once. */
function once<R>(rules: Entry<R>[]): Entry<R>[] {
  const found = new Map<string, Entry<R>>();
  for (const { item, conditions } of rules) {
    const known = found.get(JSON.stringify(item));
    found.set(JSON.stringify(item), {
      item,
      conditions: known ? forAny([known.conditions, conditions]) : conditions,
    });
  }
  return [...found.values()];
}

/** The policy of a namespace that denies what no other allows. Create it after the others, and delete it before them. */
export const defaultDeny = "default-deny";

const denied = (dns: EgressRule): Policy["spec"] => ({
  podSelector: {},
  policyTypes: ["Ingress", "Egress"],
  // To any address: a resolver is a pod, a process of the node (NodeLocal DNSCache), or outside the cluster.
  egress: [dns],
});

const inNamespaces = (names: string[]): Selector => ({
  matchExpressions: [{ key: namespaceName, operator: "In", values: names }],
});

/** Lets clients in the stack's namespaces reach every pod of them: the policies of the servers decide who gets in. */
const clientsLeave = (
  namespace: string,
  conditions: Conditions | undefined,
  { podLabels = {} }: Clients,
  own: Selector,
  dns: EgressRule,
): Policy => ({
  name: `allowed-clients-${hashOfLabels(podLabels)}`,
  namespace,
  conditions: both(conditionsOf(true), conditions),
  spec: {
    podSelector: { matchLabels: podLabels },
    policyTypes: ["Egress"],
    egress: [{ to: [{ namespaceSelector: own }] }, dns],
  },
});

const hashOfLabels = derived("hashOfLabels", (labels: Record<string, string>): string =>
  createHash("sha256").update(inOrder(labels)).digest("hex").slice(0, 8),
);

const address = (cidr: string): PolicyPeer => ({ ipBlock: { cidr } });

const clientsPeer = ({ namespaceLabels, podLabels }: Clients, own: Selector): PolicyPeer => ({
  namespaceSelector: {
    ...when(namespaceLabels, (matchLabels) => ({ matchLabels })),
    ...when(missing(namespaceLabels), () => own),
  },
  ...when(podLabels, (matchLabels) => ({ podSelector: { matchLabels } })),
});

const controllerFrom = ({ cidr, ...clients }: NonNullable<Front["controller"]>, own: Selector): PolicyPeer => ({
  ...when(cidr, address),
  ...when(missing(cidr), () => clientsPeer(clients, own)),
});

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
