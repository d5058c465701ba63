// Proves on simulated nodes in three zones, three of them tainted, that a stack's placement reaches the pods of a
// StatefulSet, a Deployment, a Job and a CronJob; that Kafka's nodes have a zone each, and that no pod is on a node that it does
// not tolerate or was not sent to.
// Does not prove what a variable does to software: on simulated nodes no container runs.
// Exercises: postgresql, redis, minio, kafka, nessie, trino, web-app.
import { CoreV1Api, type V1Node } from "@kubernetes/client-node";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fileOfComponents, kube, kubeConfig, mustRun, podList, roomFor } from "./kit.ts";

const namespaces = ["dev-core", "dev-apps"];
const core = () => kubeConfig().makeApiClient(CoreV1Api);

const taint = { key: "dedicated", value: "data", effect: "NoSchedule" };
const toleration = { key: "dedicated", operator: "Equal", value: "data", effect: "NoSchedule" };
const zone = "topology.kubernetes.io/zone";

const file = () =>
  fileOfComponents({
    global: {
      priorityClasses: true,
      pods: {
        nodeSelector: { pool: "data" },
        tolerations: [toleration],
        zones: "preferred",
        labels: { team: "numbers" },
        annotations: { "example.com/owner": "numbers" },
      },
    },
    postgresql: { enabled: true },
    redis: { enabled: true, pods: { nodeSelector: { pool: "apps" }, tolerations: [] } },
    minio: { enabled: true },
    nessie: { enabled: true },
    kafka: { enabled: true, replicas: 3, env: { OWNER: "numbers" } },
    trino: {
      enabled: true,
      env: { OWNER: "numbers" },
      worker: { replicas: 2 },
      pods: { roles: { worker: { nodeSelector: { pool: "apps" }, tolerations: [], priority: "web" } } },
    },
    webApp: { enabled: true },
  });

let nodes: Map<string, V1Node>;

beforeAll(async () => {
  await roomFor(undefined);
  const real = (await core().listNode()).items.map(({ metadata }) => metadata?.name ?? "");
  await mustRun(["cluster", "up", "--simulated-nodes", "6", "--cpu", "4", "--memory", "12Gi"]);
  for (const name of real)
    await core().patchNode({ name, body: [{ op: "add", path: "/spec/unschedulable", value: true }] });
  for (let i = 0; i < 6; i++) {
    const pool = i < 3 ? "data" : "apps";
    const body = [{ op: "add", path: "/metadata/labels/pool", value: pool }];
    const tainted = [{ op: "add", path: "/spec/taints", value: [taint] }];
    await core().patchNode({ name: `simulated-${i}`, body: pool === "data" ? [...body, ...tainted] : body });
  }
  nodes = new Map((await core().listNode()).items.map((node) => [node.metadata?.name ?? "", node]));
  await mustRun(["up", "--stack", "dev", "--config-file", file()]);
});

afterAll(async () => {
  await mustRun(["destroy", "--stack", "dev"]);
  for (const { metadata } of (await core().listNode()).items)
    if (!metadata?.name?.startsWith("simulated-"))
      await core().patchNode({
        name: metadata?.name ?? "",
        body: [{ op: "replace", path: "/spec/unschedulable", value: false }],
      });
  await mustRun(["cluster", "up", "--simulated-nodes", "0"]);
});

const poolOf = (node: string) => nodes.get(node)?.metadata?.labels?.pool;
const of = async (component: string, role?: string) =>
  (await podList(namespaces)).filter(
    ({ metadata }) =>
      metadata.labels?.["app.kubernetes.io/name"] === component &&
      (!role || metadata.labels["app.kubernetes.io/component"] === role),
  );

it("sends each pod to its nodes", async () => {
  for (const { metadata, spec } of await podList(namespaces)) {
    const name = metadata.labels?.["app.kubernetes.io/name"];
    const role = metadata.labels?.["app.kubernetes.io/component"];
    const expected = name === "redis" || (name === "trino" && role === "worker") ? "apps" : "data";
    expect({ pod: metadata.name, pool: poolOf(spec.nodeName) }).toEqual({ pod: metadata.name, pool: expected });
  }
});

it("gives each of Kafka's nodes a zone of its own", async () => {
  const pods = (await of("kafka")).filter(({ metadata }) => /^kafka-\d$/.test(metadata.name));
  expect(pods).toHaveLength(3);
  expect(new Set(pods.map(({ spec }) => nodes.get(spec.nodeName)?.metadata?.labels?.[zone])).size).toBe(3);
});

it("sets labels, annotations, variables and priorities in pods of each kind", async () => {
  const env = (spec: { containers: { env?: { name: string; value?: string }[] }[] }) =>
    spec.containers.map((one) => one.env?.find(({ name }) => name === "OWNER")?.value);
  const statefulSet = (await of("kafka")).find(({ metadata }) => metadata.name === "kafka-0");
  const [deployment] = await of("trino", "worker");
  const job = (await podList(["dev-core"])).find(({ metadata }) => metadata.name.startsWith("postgresql-users-"));
  for (const pod of [statefulSet, deployment, job]) {
    expect(pod?.metadata.labels).toMatchObject({ team: "numbers" });
    expect(pod?.metadata.annotations).toMatchObject({ "example.com/owner": "numbers" });
  }
  expect(env(statefulSet?.spec)).toEqual(["numbers"]);
  expect(env(deployment?.spec)).toEqual(["numbers"]);
  expect(statefulSet?.spec.priorityClassName).toBe("dev-storage");
  expect(deployment?.spec.priorityClassName).toBe("dev-web");

  const [cronJob] = await kube().list("batch/v1", "CronJob", "dev-apps");
  expect(cronJob?.spec.jobTemplate.spec.template).toMatchObject({
    metadata: { labels: { team: "numbers" } },
    spec: { nodeSelector: { pool: "data" }, tolerations: [toleration] },
  });
});
