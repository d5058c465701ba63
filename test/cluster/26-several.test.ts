// Proves that Kafka, the Schema Registry, Nessie and Flink's JobManager, with the replicas of prod, survive the loss of
// one pod.
// Does not prove the loss of a node, since all pods run on one, nor prod's sizes.
// Exercises: kafka, schema-registry, nessie, flink, postgresql, minio.
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from "@platformatic/kafka";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  address,
  get,
  kube,
  may,
  mustRun,
  podsOf,
  ready,
  resolveClusterNames,
  roomFor,
  runIn,
  stackFile,
  unready,
  withoutApplications,
} from "./kit.ts";

const [core, apps] = ["test-core", "test-apps"];

beforeAll(async () => {
  await roomFor("test");
  const changes = `${withoutApplications}
nessie: { replicas: 2 }
kafka: { enabled: true, replicas: 3 }
schemaRegistry: { enabled: true, replicas: 2 }
flink: { enabled: true, jobManager: { replicas: 2 }, taskManager: { replicas: 2 } }`;
  await mustRun(["up", "--stack", "test", "--config-file", stackFile("dev", changes)]);
  await resolveClusterNames();
});

afterAll(async () => {
  vi.restoreAllMocks();
  await mustRun(["destroy", "--stack", "test"]);
});

const remove = (name: string, namespace: string) =>
  kube().delete({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace } });

/** The address of each pod: a Service would choose one of them. */
const addresses = async (component: string, role: string, namespace: string): Promise<string[]> =>
  Promise.all(
    (await podsOf(component, role, namespace)).map(async (name) => {
      const { status } = (await get("Pod", name, namespace))!;
      return status!.podIP as string;
    }),
  );

const json = async <T>(url: string, body?: unknown): Promise<T> => {
  const answer = await fetch(url, {
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
    // One connection per request, so that each is balanced and none is kept to a pod that has gone.
    headers: { "content-type": "application/json", connection: "close" },
  });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
};

/** Deletes a pod, and sends requests until it is gone. */
async function whileItLeaves(name: string, namespace: string, ask: () => Promise<void>): Promise<void> {
  await remove(name, namespace);
  let asked = 0;
  for (; await get("Pod", name, namespace); asked++) await ask();
  console.log(`${asked} requests answered while ${name} left`);
  expect(asked).toBeGreaterThan(10);
}

describe("three Kafka nodes", () => {
  const server = { clientId: "several", bootstrapBrokers: [`kafka.${apps}.svc:9092`], retries: 120, retryDelay: 500 };
  const topic = "several";
  const count = 1_000;
  const values = Array.from({ length: count }, (_, i) => `message ${i}`);

  it("lose no confirmed message while the leader is gone, and restore the third replica", async () => {
    const admin = new Admin(server);
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 3 });
    const partition = async () => {
      const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true });
      return topics.get(topic)!.partitions[0]!;
    };
    const { leader, replicas } = await partition();
    expect([...replicas].sort()).toEqual([0, 1, 2]);
    const name = `kafka-${leader}`;
    const { uid } = (await get("Pod", name, apps))!.metadata;

    const producer = new Producer({ ...server, retries: 5, serializers: stringSerializers, idempotent: true });
    const send = (at: number) =>
      producer.send({ acks: -1, messages: [{ topic, partition: 0, key: `${at}`, value: values[at]! }] });
    const write = async () => {
      // The client asks one broker for the new leader and keeps to it, although its metadata may be stale.
      // A retry is safe: each message keeps its sequence number until it is confirmed.
      for (let at = 0; at < count; at++) await vi.waitFor(() => send(at), { timeout: 120_000, interval: 500 });
    };
    // It may lead again when it is back, so the new leader is looked for at the same time.
    const followed = vi.waitFor(async () => expect((await partition()).leader).not.toBe(leader), {
      timeout: 60_000,
      interval: 100,
    });
    await Promise.all([write(), remove(name, apps), followed]);
    await producer.close();
    await ready(name, apps, uid as string);
    await vi.waitFor(async () => expect([...(await partition()).isr].sort()).toEqual([0, 1, 2]), {
      timeout: 60_000,
      interval: 500,
    });

    const consumer = new Consumer({ ...server, groupId: "several", deserializers: stringDeserializers });
    const found: string[] = [];
    for await (const { value } of await consumer.consume({ topics: [topic], mode: "earliest" })) {
      found.push(value);
      if (found.length === count) break;
    }
    await consumer.close(true);
    expect(found).toEqual(values);
    await admin.close();
  });
});

it("two Schema Registries serve the same schemas, and one continues alone", async () => {
  const [first = "", second = ""] = await addresses("schema-registry", "server", apps);
  expect(second).not.toBe("");
  const schema = JSON.stringify({ type: "record", name: "Several", fields: [{ name: "id", type: "long" }] });
  const subjects = (host: string) => `http://${host}:8085/apis/ccompat/v7/subjects`;
  const { id } = await json<{ id: number }>(`${subjects(first)}/several-value/versions`, { schema });
  await vi.waitFor(
    async () => expect(await json(`${subjects(second)}/several-value/versions/1`)).toMatchObject({ id }),
    { timeout: 30_000, interval: 250 },
  );
  const [one = ""] = await podsOf("schema-registry", "server", apps);
  const service = subjects(await address("schema-registry", apps));
  await whileItLeaves(one, apps, async () =>
    expect(await json(`${service}/several-value/versions/1`)).toMatchObject({ id }),
  );
});

it("two Nessies serve the same branches, and one continues alone", async () => {
  const [first = "", second = ""] = await addresses("nessie", "server", core);
  expect(second).not.toBe("");
  const api = (host: string) => `http://${host}:19120/api/v2/trees`;
  const { reference } = await json<{ reference: { hash: string } }>(`${api(first)}/main`);
  await json(`${api(first)}?name=several&type=BRANCH`, { type: "BRANCH", name: "main", hash: reference.hash });
  expect(await json(`${api(second)}/several`)).toMatchObject({ reference: { name: "several" } });
  const [one = ""] = await podsOf("nessie", "server", core);
  const service = api(await address("nessie", core));
  await whileItLeaves(one, core, async () =>
    expect(await json(`${service}/several`)).toMatchObject({ reference: { name: "several" } }),
  );
});

describe("two JobManagers", () => {
  const ask = async <T>(path: string) => json<T>(`http://${await address("flink", apps)}:8081${path}`);
  const last = 400;
  const job = `
SET 'pipeline.name' = 'several';
SET 'execution.checkpointing.interval' = '1s';
CREATE TEMPORARY TABLE numbers (n BIGINT) WITH (
  'connector' = 'datagen', 'rows-per-second' = '10',
  'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '${last}');
CREATE TEMPORARY TABLE sums (total BIGINT) WITH ('connector' = 'print', 'print-identifier' = 'several');
INSERT INTO sums SELECT SUM(n) FROM numbers;
`;

  /** The leader: its address is in the ConfigMap of the leader election. */
  async function leading(): Promise<string> {
    const { data } = (await get("ConfigMap", "flink-cluster-config-map", "test-flink")) as unknown as {
      data: Record<string, string>;
    };
    const [, host] = /@([\d.]+):6123/.exec(data["org.apache.flink.k8s.leader.resourcemanager"] ?? "") ?? [];
    for (const name of await podsOf("flink", "jobmanager", apps))
      if ((await get("Pod", name, apps))!.status!.podIP === host) return name;
    throw new Error(`no pod has ${host}`);
  }

  it("may change the ConfigMaps of their leader election and no other; TaskManagers may read them", async () => {
    const allowed = async (name: string, namespace: string) =>
      Promise.all(
        ["get", "create", "delete"].map((verb) => may({ name, namespace: apps }, verb, "configmaps", namespace)),
      );
    expect(await allowed("flink", "test-flink")).toEqual([true, true, true]);
    expect(await allowed("flink-taskmanager", "test-flink")).toEqual([true, false, false]);
    for (const account of ["flink", "flink-taskmanager"])
      expect(await allowed(account, apps)).toEqual([false, false, false]);
  });

  it("the second takes over a job with its state when the first is deleted", async () => {
    const [pod = ""] = await podsOf("flink", "jobmanager", apps);
    const script =
      'printf %s "$1" > /tmp/several.sql; JVM_ARGS="-Xmx128m -Duser.home=/tmp" /opt/flink/bin/sql-client.sh -f /tmp/several.sql';
    const said = await runIn(pod, apps, "jobmanager", ["bash", "-c", script, "submit", job]);
    const [, id] = /Job ID: ([0-9a-f]{32})/.exec(said) ?? [];
    if (!id) throw new Error(said);
    type Checkpoints = { counts: { completed: number; restored: number } };
    const counts = async () => (await ask<Checkpoints>(`/jobs/${id}/checkpoints`)).counts;
    await vi.waitFor(async () => expect((await counts()).completed).toBeGreaterThan(2), {
      timeout: 60_000,
      interval: 500,
    });

    const before = await leading();
    const began = Date.now();
    await remove(before, apps);
    await vi.waitFor(async () => expect(await leading()).not.toBe(before), { timeout: 120_000, interval: 500 });
    await vi.waitFor(async () => expect((await counts()).restored).toBeGreaterThan(0), {
      timeout: 120_000,
      interval: 500,
    });
    console.log(
      `another JobManager had the job ${Math.round((Date.now() - began) / 1000)} s after the first was deleted`,
    );
    await vi.waitFor(async () => expect(await ask(`/jobs/${id}`)).toMatchObject({ state: "FINISHED" }), {
      timeout: 180_000,
      interval: 1_000,
    });
    const logs = await Promise.all(
      (await podsOf("flink", "taskmanager", apps)).map((name) =>
        kube().log(
          { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: apps } },
          { container: "taskmanager", lines: 10_000 },
        ),
      ),
    );
    const sums = logs.flatMap((log) => [...log.matchAll(/^several> \+[IU]\[(\d+)\]$/gm)].map(([, sum]) => Number(sum)));
    expect(Math.max(...sums)).toBe((last * (last + 1)) / 2);
    await vi.waitFor(async () => expect(await unready(apps)).toEqual([]), { timeout: 120_000, interval: 1_000 });
  }, 500_000);
});
