// Proves that NetworkPolicies allow each connection whose address a rendered pod is given, and none between components
// without such an address; that both ends of a connection allow it; and that everything else is denied.
// Does not prove that a network enforces them, nor that the software keeps to the addresses it is given.
import { beforeAll, describe, expect, it } from "vitest";
import { containersOf, type KubernetesObject, podOf } from "../../policy/rules/index.ts";
import { type Evaluated, evaluated, stacks } from "./stacks.ts";

const on = (more = "") => `
global: { networkPolicies: { enabled: true${more} } }
monitoring: { enabled: true }
`;

interface Pods {
  name: string;
  namespace: string;
  labels: Record<string, string>;
  /** Everything that the pods are given as text. */
  text: string;
}

/** The pods of each workload, with the text of their containers and of the ConfigMaps and Secrets that they read. */
function podsOf(objects: KubernetesObject[]): Pods[] {
  return objects.flatMap((object) => {
    const pod = podOf(object);
    if (!pod) return [];
    const { namespace = "", name } = object.metadata;
    const mentioned = JSON.stringify(pod.spec);
    const files = objects
      .filter(({ kind, metadata }) => ["ConfigMap", "Secret"].includes(kind) && metadata.namespace === namespace)
      .filter(({ metadata }) => mentioned.includes(`"${metadata.name}"`))
      .map(({ data, stringData }) => JSON.stringify({ data, stringData }));
    const texts = containersOf(pod.spec).map(({ command, args, env = [] }) =>
      // The names that a Django application answers to are its own: it connects to none of them.
      JSON.stringify({ command, args, env: env.filter(({ name }: { name: string }) => name !== "ALLOWED_HOSTS") }),
    );
    return [{ name: `${object.kind} ${name}`, namespace, labels: pod.labels, text: [...texts, ...files].join("\n") }];
  });
}

interface Address {
  service: KubernetesObject;
  port?: number;
}

/** The Services of the stack in a text, with the port behind the host name. */
function addressesIn(text: string, services: KubernetesObject[]): Address[] {
  return services.flatMap((service) => {
    const host = `${service.metadata.name}.${service.metadata.namespace}.svc`;
    const found = text.matchAll(new RegExp(`(?<![\\w-])${host.replaceAll(".", "\\.")}(?![\\w-])(?::(\\d+))?`, "g"));
    return [...found].map(([, port]) => ({ service, ...(port && { port: Number(port) }) }));
  });
}

const matches = (selector: Record<string, string> = {}, labels: Record<string, string>) =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

// biome-ignore lint/suspicious/noExplicitAny: a NetworkPolicy's peer as plain data
const meets = (peer: any, { namespace, labels }: Pods) => {
  if (peer.ipBlock) return false;
  const { matchLabels = {}, matchExpressions = [] } = peer.namespaceSelector;
  return (
    matches(matchLabels, { "kubernetes.io/metadata.name": namespace }) &&
    matchExpressions.every(({ values }: { values: string[] }) => values.includes(namespace)) &&
    matches(peer.podSelector?.matchLabels, labels)
  );
};

/** Whether policies on `self` let a connection to or from `other` pass, as Kubernetes decides it. Without a port: on any. */
function passes(policies: KubernetesObject[], way: "ingress" | "egress", self: Pods, other: Pods, port?: number) {
  const key = way === "ingress" ? "from" : "to";
  const type = way === "ingress" ? "Ingress" : "Egress";
  const selecting = policies.filter(
    ({ metadata, spec }) =>
      metadata.namespace === self.namespace &&
      spec.policyTypes.includes(type) &&
      matches(spec.podSelector.matchLabels, self.labels),
  );
  if (selecting.length === 0) return true;
  return selecting.some(({ spec }) =>
    (spec[way] ?? []).some(
      (rule: KubernetesObject) =>
        (rule[key] ?? []).some((peer: unknown) => meets(peer, other)) &&
        (port === undefined ||
          rule.ports.some((one: { port?: number }) => one.port === undefined || one.port === port)),
    ),
  );
}

const policiesOf = (objects: KubernetesObject[]) => objects.filter(({ kind }) => kind === "NetworkPolicy");
const servicesOf = (objects: KubernetesObject[]) => objects.filter(({ kind }) => kind === "Service");

/** Connections whose address a pod has and which a policy of either end denies. */
function denied(objects: KubernetesObject[]): string[] {
  const [pods, policies] = [podsOf(objects), policiesOf(objects)];
  const found = pods.flatMap((client) =>
    addressesIn(client.text, servicesOf(objects)).flatMap(({ service, port }) =>
      pods
        .filter(
          ({ namespace, labels }) => namespace === service.metadata.namespace && matches(service.spec.selector, labels),
        )
        .filter(({ name }) => name !== client.name)
        .filter(
          (server) =>
            !passes(policies, "egress", client, server, port) || !passes(policies, "ingress", server, client, port),
        )
        .map((server) => `${client.name} → ${server.name} ${port ?? "any port"}`),
    ),
  );
  return [...new Set(found)].sort();
}

/** Pods that get the address with a query or an application, not from the stack. */
const told: Record<string, string[]> = {
  superset: ["clickhouse", "trino"],
  "superset-worker": ["clickhouse", "trino"],
  "spark-worker": ["minio", "nessie"],
};

const component = ({ labels }: Pods) => labels["app.kubernetes.io/name"];

describe.each(stacks)("in %s", (stack) => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await evaluated(stack, { changes: on() });
  });

  it("allows every connection whose address a pod is given", () => {
    expect(denied(program.objects)).toEqual([]);
  });

  it("allows a connection at both ends or at none", () => {
    const [pods, policies] = [podsOf(program.objects), policiesOf(program.objects)];
    const oneSided = pods.flatMap((client) =>
      pods
        .filter((server) => passes(policies, "egress", client, server) !== passes(policies, "ingress", server, client))
        .map((server) => `${client.name} → ${server.name}`),
    );
    expect(oneSided).toEqual([]);
  });

  it("allows no other connection between components, apart from Prometheus'", () => {
    const [pods, policies] = [podsOf(program.objects), policiesOf(program.objects)];
    const idle = pods.flatMap((client) => {
      const known = addressesIn(client.text, servicesOf(program.objects)).map(({ service }) => service);
      return pods
        .filter((server) => component(server) !== component(client) && component(client) !== "prometheus")
        .filter((server) => passes(policies, "egress", client, server))
        .filter(
          (server) =>
            !known.some(
              ({ metadata, spec }) => metadata.namespace === server.namespace && matches(spec.selector, server.labels),
            ),
        )
        .filter((server) => !told[client.name.replace("Deployment ", "")]?.includes(`${component(server)}`))
        .map((server) => `${client.name} → ${server.name}`);
    });
    expect(idle).toEqual([]);
  });

  it("denies everything else in every namespace with pods", () => {
    const namespaces = [...new Set(podsOf(program.objects).map(({ namespace }) => namespace))].sort();
    const denying = policiesOf(program.objects).filter(({ metadata }) => metadata.name === "default-deny");
    expect(denying.map(({ metadata }) => metadata.namespace).sort()).toEqual(namespaces);
    for (const { spec } of denying) {
      expect(spec).toMatchObject({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
      expect(spec.ingress).toBeUndefined();
      expect(spec.egress).toEqual([{ ports: expect.arrayContaining([{ protocol: "UDP", port: 53 }]) }]);
    }
  });
});

it("denies everything after all that is needed is allowed", async () => {
  const { manifests } = await evaluated("test", { changes: on() });
  const all = manifests.filter(({ object }) => object.kind === "NetworkPolicy");
  const denying = all.filter(({ object }) => object.metadata.name === "default-deny");
  expect(denying.length).toBeGreaterThan(2);
  for (const { dependsOn } of denying)
    expect(dependsOn.filter((one) => one.startsWith("NetworkPolicy"))).toHaveLength(all.length - denying.length);
});

it("notices a connection that is not declared", async () => {
  const { objects } = await evaluated("test", { changes: on() });
  const without = objects.map((object) =>
    object.kind === "NetworkPolicy" && object.metadata.name === "nessie-server"
      ? { ...object, spec: { ...object.spec, egress: object.spec.egress.slice(1) } }
      : object,
  );
  expect(denied(without)).toEqual(["Deployment nessie → StatefulSet minio 9000"]);
});

it("lets Prometheus reach each metrics port that it scrapes", async () => {
  const { objects } = await evaluated("test", { changes: on() });
  const pods = podsOf(objects);
  const named = (name: string) => pods.find((one) => one.name === name) as Pods;
  const prometheus = named("StatefulSet prometheus");
  for (const [name, port] of [
    ["Deployment flink-taskmanager", 9249],
    ["StatefulSet kafka", 9404],
    ["Deployment exporters-redis", 9121],
  ] as const) {
    expect(passes(policiesOf(objects), "egress", prometheus, named(name), port)).toBe(true);
    expect(passes(policiesOf(objects), "ingress", named(name), prometheus, port)).toBe(true);
  }
});

it("gives the API server to pods with a token only", async () => {
  const { objects } = await evaluated("test", { changes: on() });
  const tokens = objects.flatMap((object) => {
    const pod = podOf(object);
    return pod?.spec.automountServiceAccountToken ? [pod.labels] : [];
  });
  const reaching = policiesOf(objects).filter(({ spec }) =>
    (spec.egress ?? []).some(({ ports }: { ports: { port: number }[] }) => ports.some(({ port }) => port === 6443)),
  );
  expect(reaching.map(({ metadata }) => metadata.name).sort()).toEqual(
    tokens.map((labels) => `${labels["app.kubernetes.io/name"]}-${labels["app.kubernetes.io/component"]}`).sort(),
  );
});

it("opens what is exposed, and no more", async () => {
  const { objects } = await evaluated("test", {
    changes: `${on()}trino: { service: { type: NodePort } }
polls: { service: { type: ClusterIP }, ingress: { host: polls.example.com } }
webApp: { service: { type: ClusterIP } }`,
  });
  const open = policiesOf(objects)
    .filter(({ spec }) =>
      (spec.ingress ?? []).some(({ from }: { from: object[] }) => from.some((peer) => "ipBlock" in peer)),
    )
    .map(({ metadata }) => metadata.name);
  expect(open.sort()).toEqual(["polls-web", "trino-coordinator"]);
});

it("allows what the configuration names: clients by labels, connections of DAGs, addresses outside, a git repository", async () => {
  const { objects } = await evaluated("test", {
    changes: `${on(`, allowFrom: [{ namespaceLabels: { team: analytics } }, { podLabels: { role: tool } }],
      connections: [{ from: airflow, to: trino }], outside: [{ from: superset, cidr: 10.1.0.0/16, ports: [3306] }]`)}
airflow: { dags: { git: { repository: "https://git.example.com:8443/team/dags.git" } } }`,
  });
  const policy = (name: string) => policiesOf(objects).find(({ metadata }) => metadata.name === name)?.spec;
  const redis = policy("redis-server").ingress.flatMap(({ from }: { from: object[] }) => from);
  expect(redis).toContainEqual({ namespaceSelector: { matchLabels: { team: "analytics" } } });
  expect(redis).toContainEqual(expect.objectContaining({ podSelector: { matchLabels: { role: "tool" } } }));
  const tools = policiesOf(objects).filter(({ metadata }) => metadata.name.startsWith("allowed-clients-"));
  expect(tools.map(({ spec }) => spec.podSelector)).toContainEqual({ matchLabels: { role: "tool" } });
  const worker = JSON.stringify(policy("airflow-worker").egress);
  expect(worker).toContain('"app.kubernetes.io/name":"trino"');
  expect(policy("airflow-worker").egress).toContainEqual({
    to: [{ ipBlock: { cidr: "0.0.0.0/0" } }, { ipBlock: { cidr: "::/0" } }],
    ports: [{ protocol: "TCP", port: 8443 }],
  });
  expect(policy("superset-web").egress).toContainEqual({
    to: [{ ipBlock: { cidr: "10.1.0.0/16" } }],
    ports: [{ protocol: "TCP", port: 3306 }],
  });
});

it("lets CloudNativePG's operator, its servers and their clients reach each other", async () => {
  const { objects } = await evaluated("test", {
    changes: `${on()}polls: { database: cloudnative-pg }\ncloudnativePg: { enabled: true }`,
  });
  const [policies, polls] = [
    policiesOf(objects),
    podsOf(objects).find(({ name }) => name === "Deployment polls") as Pods,
  ];
  const { metadata, spec } = objects.find(({ kind }) => kind === "Cluster") as KubernetesObject;
  const servers = { name: "", text: "", namespace: metadata.namespace ?? "", labels: spec.inheritedMetadata.labels };
  const operator = { ...servers, namespace: "test-operators", labels: { "app.kubernetes.io/name": "cloudnative-pg" } };
  const prometheus = podsOf(objects).find(({ name }) => name === "StatefulSet prometheus") as Pods;
  const both = (client: Pods, server: Pods, port: number) =>
    passes(policies, "egress", client, server, port) && passes(policies, "ingress", server, client, port);
  expect([both(polls, servers, 5432), both(servers, servers, 5432), both(operator, servers, 8000)]).toEqual([
    true,
    true,
    true,
  ]);
  expect(both(prometheus, servers, 9187)).toBe(true);
  expect([both(operator, servers, 5432), both(polls, servers, 8000), both(servers, polls, 8000)]).toEqual([
    false,
    false,
    false,
  ]);
});

it("is off by default", async () => {
  const { objects } = await evaluated("dev");
  expect(policiesOf(objects)).toEqual([]);
});
