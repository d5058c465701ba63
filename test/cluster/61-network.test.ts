// Proves by real connections that the test stack with network policies answers what its model allows and nothing else: from
// each of its pods, and from two pods that it does not know, to every port that any of its pods listens on, and to every
// Service. A connection that is taken out of the model closes, and one that is added opens.
// Does not prove connections over UDP, those of Jobs that have ended, nor those from and to processes of the node, among
// them the Kubernetes API.
// Exercises: every component.
import { CoreV1Api } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import type { Flow, Peer } from "../../components/kit/flows.ts";
import { Platform } from "../../components/platform.ts";
import { load } from "../../config/load.ts";
import type { Live } from "../../kube/client.ts";
import { redacted } from "../../render/evaluate.ts";
import { run } from "../../render/run.ts";
import { readStack } from "../../render/stack.ts";
import { get, kube, kubeConfig, mustRun, roomFor, runIn, servers, unready, whole, wholeFile } from "./kit.ts";

const stack = whole.core.replace(/-core$/, "");
const namespaces = Object.values(whole);
const strangers = "network-test-strangers";
/** Each run adds a container of its own to the pods, since none can be removed. */
const container = `network-test-${Date.now().toString(36)}`;

/** The test stack with policies. Without NodePorts, which are open to everyone. */
const closed = (more: object = {}): string =>
  wholeFile(
    stringify({
      global: { networkPolicies: { enabled: true, ...more } },
      polls: { service: { type: "ClusterIP" } },
      webApp: { service: { type: "ClusterIP" } },
    }),
  );

/** What the program allows with that file. */
async function modelOf(file: string): Promise<Flow[]> {
  const found: Flow[] = [];
  const program = () => {
    const { flows, endpoints } = new Platform(load());
    found.push(...flows);
    return { endpoints };
  };
  await run(program, readStack(".", stack, file), { random: redacted, context: "a-cluster" });
  return found;
}

/** `host:port`. */
type Target = string;
interface Listener {
  pod: Live;
  target: Target;
  port: number;
}

/**
 * Prints the address and the result of each connection: `open`; `silent` if no answer came, which is what a policy does;
 * or the number of another error, for which a packet must have passed. Small, since its memory counts as the pod's.
 */
const connectTo = `
import select, socket, sys, time
waiting, poll = {}, select.poll()
for target in sys.argv[1].split(","):
    host, port = target.split(":")
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex((host, int(port)))
    waiting[one.fileno()] = target, one
    poll.register(one, select.POLLOUT)
end = time.monotonic() + 5
while waiting and time.monotonic() < end:
    for number, _ in poll.poll(200):
        target, one = waiting.pop(number)
        poll.unregister(one)
        print(target, one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or "open")
        one.close()
for target, _ in waiting.values():
    print(target, "silent")
`;

/** Prints the TCP ports on which the pod listens, beside those of its loopback address. */
const listening = `
loopback = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
found = set()
for name in "tcp", "tcp6":
    try:
        lines = open("/proc/net/" + name).read().splitlines()[1:]
    except FileNotFoundError:
        continue
    for _, local, _, state, *_ in map(str.split, lines):
        host, port = local.split(":")
        if state == "0A" and host not in loopback:
            found.add(int(port, 16))
print(*sorted(found))
`;

/** Ends at SIGTERM, so that the pod does not wait for it. */
const idle = ["sh", "-c", "trap 'exit 0' TERM; sleep 86400 & wait"];

const python = (pod: Live, ...args: string[]): Promise<string> =>
  runIn(pod.metadata.name, `${pod.metadata.namespace}`, container, ["python", "-c", ...args]);

/** The result of a connection from the pod to each target. */
async function results(pod: Live, targets: Target[]): Promise<Map<Target, string>> {
  const printed = await python(pod, connectTo, targets.join(","));
  return new Map(
    printed
      .trim()
      .split("\n")
      .map((line) => line.split(" ") as [Target, string]),
  );
}

const result = async (pod: Live, target: Target) => (await results(pod, [target])).get(target);

/** Applies `work` to all, some at a time. */
async function each<T, R>(all: T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const found: R[] = [];
  for (let i = 0; i < all.length; i += 8) found.push(...(await Promise.all(all.slice(i, i + 8).map(work))));
  return found;
}

const restricted = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  runAsUser: 1000,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

let core: CoreV1Api;

/** Adds a container to the running pod, which has the pod's addresses and so its policies. */
async function addContainer(pod: Live, image: string): Promise<void> {
  const of = { name: pod.metadata.name, namespace: `${pod.metadata.namespace}` };
  const body = await core.readNamespacedPod(of);
  if (!body.spec) throw new Error(`pod ${of.name} has no spec`);
  body.spec.ephemeralContainers = [
    ...(body.spec.ephemeralContainers ?? []),
    { name: container, image, command: idle, securityContext: restricted },
  ];
  await core.replaceNamespacedPodEphemeralcontainers({ ...of, body });
  await vi.waitFor(
    async () => {
      const { status } = await core.readNamespacedPod(of);
      const mine = status?.ephemeralContainerStatuses?.find(({ name }) => name === container);
      if (!mine?.state?.running) throw new Error(`${of.name}: ${JSON.stringify(mine?.state)}`);
    },
    { timeout: 120_000, interval: 500 },
  );
}

/** A pod that no workload of the platform has. */
async function stranger(namespace: string, image: string): Promise<Live> {
  const name = "network-test-stranger";
  const object = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      automountServiceAccountToken: false,
      containers: [{ name: container, image, command: idle, securityContext: restricted }],
    },
  };
  await kube().delete(object);
  await vi.waitFor(async () => expect(await get("Pod", name, namespace)).toBeUndefined(), { timeout: 60_000 });
  // A new namespace has no service account in its first moments.
  await vi.waitFor(() => kube().create(object), { timeout: 30_000 });
  return vi.waitFor(
    async () => {
      const pod = await get("Pod", name, namespace);
      if (pod?.status?.phase !== "Running") throw new Error(`${name} is ${pod?.status?.phase}`);
      return { ...pod, metadata: { ...pod.metadata, namespace } };
    },
    { timeout: 120_000, interval: 500 },
  );
}

const isOf = (peer: Peer, { metadata }: Live): boolean =>
  peer.kind === "workload" &&
  peer.workload.pods.namespace === metadata.namespace &&
  Object.entries(peer.workload.pods.labels).every(([key, value]) => metadata.labels?.[key] === value);

/** Whether the model allows the connection: on its own port, on any port, or not. */
function allowed(flows: Flow[], from: Live, { pod, port }: Listener): "port" | "any" | undefined {
  const ports = flows
    .filter((flow) => isOf(flow.from, from) && isOf(flow.to, pod))
    .flatMap((flow) => flow.ports)
    .filter(({ protocol }) => protocol === "TCP");
  if (ports.some((one) => one.port === port)) return "port";
  return ports.some((one) => one.port === undefined) ? "any" : undefined;
}

const nameOf = ({ metadata }: Live) => `${metadata.namespace}/${metadata.name}`;

let flows: Flow[];
let pods: Live[];
let listeners: Listener[];
/** In another namespace, and in the stack's own. */
let unknown: Live[];

const podOf = (component: string, role: string): Live => {
  const found = pods.find(
    ({ metadata }) =>
      metadata.labels?.["app.kubernetes.io/name"] === component &&
      metadata.labels?.["app.kubernetes.io/component"] === role,
  );
  if (!found) throw new Error(`no pod of ${component}/${role}`);
  return found;
};

beforeAll(async () => {
  const file = closed();
  await roomFor("test");
  if (!process.env.TEST_STACK) await mustRun(["up", "--stack", stack, "--config-file", file]);
  flows = await modelOf(file);
  core = kubeConfig().makeApiClient(CoreV1Api);

  const running = (await servers(namespaces)).filter(
    ({ metadata, status }) =>
      status?.phase === "Running" && !metadata.deletionTimestamp && metadata.labels?.["app.kubernetes.io/name"],
  );
  pods = running;
  // It is on the node, and has Python.
  const image: string = podOf("polls", "web").spec.containers[0].image;
  await kube().apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: strangers } });
  unknown = await each([strangers, whole.apps], (namespace) => stranger(namespace, image));
  await each(pods, (pod) => addContainer(pod, image));
  listeners = (
    await each(pods, async (pod) => {
      const ports = (await python(pod, listening)).trim().split(" ").filter(Boolean).map(Number);
      return ports.map((port) => ({ pod, port, target: `${pod.status.podIP}:${port}` }));
    })
  ).flat();
});

afterAll(async () => {
  for (const { metadata } of unknown ?? []) await kube().delete({ apiVersion: "v1", kind: "Pod", metadata });
  await kube().delete({ apiVersion: "v1", kind: "Namespace", metadata: { name: strangers } });
});

it("leaves everything ready", async () => {
  expect((await Promise.all(namespaces.map(unready))).flat()).toEqual([]);
});

it("finds the ports of every component that has a Service", () => {
  const found = new Set(listeners.map(({ pod }) => pod.metadata.labels?.["app.kubernetes.io/name"]));
  const served = flows.flatMap(({ to }) => (to.kind === "workload" ? [to.workload.name.replace(/\/.*/, "")] : []));
  // Drivers of Spark and Jobs have no pods now; the statistics' port is UDP.
  expect(served.filter((name) => !found.has(name))).toEqual([]);
  expect(listeners.length).toBeGreaterThan(40);
});

describe("from each pod to each port", () => {
  let wrong: string[];
  beforeAll(async () => {
    const all = await each(pods, async (from) => {
      const others = listeners.filter(({ pod }) => nameOf(pod) !== nameOf(from));
      const found = await results(
        from,
        others.map(({ target }) => target),
      );
      return others.map((to) => ({
        name: `${nameOf(from)} → ${nameOf(to.pod)}:${to.port}`,
        expected: allowed(flows, from, to),
        found: found.get(to.target),
      }));
    });
    const matrix = all.flat();
    // A port of "any" may have closed since it was listed; then the answer is a reset.
    wrong = matrix
      .filter(({ expected, found }) =>
        expected === "port" ? found !== "open" : expected === "any" ? found === "silent" : found !== "silent",
      )
      .map(({ name, expected, found }) => `${name}: ${found}, and ${expected ? "" : "not "}allowed`);
    const answered = matrix.filter(({ expected }) => expected).length;
    console.log(`${matrix.length} connections, of which ${answered} are allowed`);
  });

  it("answers what the model allows, and nothing else", () => {
    expect(wrong).toEqual([]);
  });
});

it("answers no pod that the platform does not know, on any port", async () => {
  const services = (await Promise.all(namespaces.map((namespace) => kube().list("v1", "Service", namespace)))).flat();
  const addresses = services
    .filter(({ spec }) => spec.clusterIP !== "None")
    .flatMap(({ spec }) =>
      spec.ports
        .filter(({ protocol }: { protocol: string }) => protocol === "TCP")
        .map(({ port }: { port: number }) => `${spec.clusterIP}:${port}`),
    );
  const targets = [...listeners.map(({ target }) => target), ...addresses];
  for (const from of unknown) {
    const found = await results(from, targets);
    expect([...found].filter(([, outcome]) => outcome !== "silent")).toEqual([]);
  }
});

// They change the stack.
describe.skipIf(process.env.TEST_STACK)("a connection", () => {
  const redis = () => `${podOf("redis", "server").status.podIP}:6379`;
  const reaches = (from: Live, outcome: string) =>
    vi.waitFor(async () => expect(await result(from, redis())).toBe(outcome), { timeout: 60_000, interval: 500 });

  it("opens when the configuration adds it, and closes when it is taken out", async () => {
    const polls = podOf("polls", "web");
    const [foreign, own] = unknown;
    if (!foreign || !own) throw new Error("the strangers are missing");
    for (const from of [polls, foreign, own]) expect(await result(from, redis())).toBe("silent");

    const more = closed({
      connections: [{ from: "polls", to: "redis" }],
      allowFrom: [{ namespaceLabels: { "kubernetes.io/metadata.name": strangers } }],
    });
    await mustRun(["up", "--stack", stack, "--config-file", more]);
    await reaches(polls, "open");
    await reaches(foreign, "open");
    expect(await result(own, redis())).toBe("silent");

    await mustRun(["up", "--stack", stack, "--config-file", closed()]);
    await reaches(polls, "silent");
    await reaches(foreign, "silent");
  });
});
