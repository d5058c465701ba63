// Proves how the model of the network becomes allowed connections, and what of it is refused.
// Does not prove that components declare all their connections: test/program/network.test.ts does.
import { describe, expect, it } from "vitest";
import { flows, flowsPage, policies, type Rules } from "../../components/kit/flows.ts";
import { Network, type Workload } from "../../components/kit/network.ts";
import { clusterPorts } from "../../components/network-policies.ts";
import { forAny } from "../../config/derived.ts";
import { ports } from "../../local/cluster/layout.ts";

const none: Rules = {
  allowFrom: [],
  connections: [],
  outside: [],
  api: [{ protocol: "TCP", port: 6443 }],
  dns: [{ protocol: "UDP", port: 53 }],
  components: ["db", "web"],
  componentOf: (name) => name,
};

const workload = (name: string, given: Partial<Workload> = {}): Workload => ({
  name,
  pods: { namespace: "test", labels: { name } },
  ports: {},
  connects: [],
  outside: [],
  ...given,
});

const pods = (name: string) => ({ namespace: "test", labels: { name } });

function model(...workloads: Workload[]): Network {
  const found = new Network();
  for (const one of workloads) found.add(one);
  return found;
}

const table = (found: Network, rules = none) =>
  flowsPage("test", flows(found, rules))
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| from"));

describe("flows", () => {
  const server = workload("db/server", { ports: { sql: 5432, stats: { udp: 8125 } } });

  it("resolves the names of ports, and merges the flows of a pair", () => {
    const client = workload("web/server", {
      connects: [
        { pods: pods("db/server"), ports: ["stats"] },
        { pods: pods("db/server"), ports: ["sql", 9000] },
      ],
    });
    expect(table(model(server, client))).toEqual(["| web/server | db/server | 5432, 8125/UDP, 9000 |"]);
  });

  it("takes two pod templates with the same labels for one workload", () => {
    const found = model(
      workload("web/job"),
      workload("web/job", { connects: [{ pods: pods("db/server"), ports: [1] }] }),
      server,
    );
    expect(found.workloads).toHaveLength(2);
    expect(table(found)).toEqual(["| web/job | db/server | 1 |"]);
  });

  it("refuses a connection to pods that do not exist", () => {
    const client = workload("web/server", { connects: [{ pods: pods("gone"), ports: [1] }] });
    expect(() => flows(model(client), none)).toThrow(
      'web/server connects to pods that no workload has: test {"name":"gone"}',
    );
  });

  it("refuses a name that is no port of the server", () => {
    const client = workload("web/server", { connects: [{ pods: pods("db/server"), ports: ["http"] }] });
    expect(() => flows(model(server, client), none)).toThrow(
      "web/server connects to port http of db/server, which has sql, stats",
    );
  });

  it.each([
    ["https://git.example.com/a.git", 443],
    ["http://git.example.com/a.git", 80],
    ["https://git.example.com:8443/a.git", 8443],
    ["ssh://git@git.example.com/a.git", 22],
    ["ssh://git@git.example.com:2222/a.git", 2222],
    ["git@git.example.com:team/a.git", 22],
  ])("takes the port of %s to be %i", (url, port) => {
    const client = workload("web/server", { outside: [{ what: "git", url }] });
    expect(table(model(client))).toEqual([`| web/server | git | ${port} |`]);
  });

  it("lets configured clients reach Services only", () => {
    const found = model(server, workload("db/job", { ports: { http: 80 } }));
    found.open({ server: { pods: pods("db/server"), ports: ["sql"] } });
    expect(table(found, { ...none, allowFrom: [{ podLabels: { role: "tool" } }] })).toEqual([
      "| pods with role=tool of the stack's namespaces | db/server | 5432 |",
    ]);
  });
});

it("makes one policy for each workload beside the denial of everything", () => {
  const server = workload("db/server", { ports: { sql: 5432 } });
  const client = workload("web/server", { connects: [{ pods: pods("db/server"), ports: ["sql"] }], api: {} });
  const all = policies(model(server, client, workload("idle/server")), none, ["test", "without-pods"]);
  expect(all.map(({ name }) => name)).toEqual(["db-server", "idle-server", "web-server", "default-deny"]);
  for (const { spec } of all) expect(spec.policyTypes).toEqual(["Ingress", "Egress"]);
  // Before the last one exists, the others allow DNS themselves.
  expect(all.find(({ name }) => name === "web-server")?.spec.egress).toContainEqual({
    ports: [{ protocol: "UDP", port: 53 }],
  });
  expect(all.find(({ name }) => name === "db-server")?.spec.ingress).toEqual([
    {
      from: [
        {
          namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "test" } },
          podSelector: { matchLabels: { name: "web/server" } },
        },
      ],
      ports: [{ protocol: "TCP", port: 5432 }],
    },
  ]);
});

it("knows the ports of the embedded cluster", () => {
  expect(clusterPorts("embedded").dns).toContainEqual({ protocol: "UDP", port: ports.dns });
  expect(clusterPorts("embedded").api).toContainEqual({ protocol: "TCP", port: ports.api });
});

it("combines the conditions of the same connection, and drops those that add nothing", () => {
  expect(forAny([["a", "b"], ["a"], ["a"]])).toEqual(["a"]);
  expect(forAny([["a"], ["b"]])).toEqual([{ anyOf: [["a"], ["b"]] }]);
  expect(forAny([["a"], []])).toEqual([]);
  expect(forAny([undefined, undefined])).toBeUndefined();
});
