// Proves that Kafka delivers each message exactly once to a real client while its pod is deleted, and keeps its cluster
// ID.
// Does not prove several brokers (26-several.test.ts does), nor a client outside the cluster.
// Exercises: kafka.
import {
  Admin,
  type BaseOptions,
  ConfigResourceTypes,
  Consumer,
  Producer,
  stringDeserializers,
  stringSerializers,
} from "@platformatic/kafka";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { get, pods, replacePod, resolveClusterNames, secret, whole, wholeStack } from "./kit.ts";

const topic = `proof-${Date.now()}`;
const count = 10_000;
const values = Array.from({ length: count }, (_, i) => `message ${i}`);

/** Client settings: an address that works in any pod, and retries for two minutes. */
const server: BaseOptions = {
  clientId: "proof",
  bootstrapBrokers: [`kafka.${whole.apps}.svc:9092`],
  retries: 120,
  retryDelay: 1_000,
};
let admin: Admin;

beforeAll(async () => {
  await wholeStack();
  await resolveClusterNames();
  // A running stack may want a login.
  if (await get("Secret", "kafka-admin", whole.apps)) {
    const { username = "", password = "" } = await secret("kafka-admin", whole.apps);
    server.sasl = { mechanism: "SCRAM-SHA-512", username, password };
  }
  admin = new Admin(server);
});

afterAll(async () => {
  await admin.deleteTopics({ topics: [topic] });
  await admin.close();
  vi.restoreAllMocks();
});

it("runs with the cluster ID of the stack, and a replication factor of 1", async () => {
  const { id, brokers } = await admin.metadata({});
  expect(id).toBe((await secret("kafka-cluster", whole.apps)).id);
  const hosts = [...brokers].map(([node, { host, port }]) => ({ node, host, port }));
  expect(hosts).toEqual([{ node: 0, host: `kafka-0.kafka-headless.${whole.apps}.svc`, port: 9092 }]);
  const broker = { resourceType: ConfigResourceTypes.BROKER, resourceName: "0", configurationKeys: null };
  const [described] = await admin.describeConfigs({ resources: [broker] });
  const setting = (name: string) => described!.configs.find((one) => one.name === name)?.value;
  for (const name of ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic", "default"])
    expect({ name, value: setting(`${name}.replication.factor`) }).toEqual({ name, value: "1" });
});

describe("the deletion of the broker's pod", () => {
  it("loses and duplicates no message that is being written", async () => {
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 });
    const before = await pods(whole.apps);
    const { id } = await admin.metadata({});
    // The default of Kafka's own clients: a batch that is sent twice is written once.
    const producer = new Producer({ ...server, serializers: stringSerializers, idempotent: true });
    let longest = 0;
    const write = async (from: number, to: number, together: number) => {
      for (let at = from; at < to; at += together) {
        const batch = values.slice(at, Math.min(at + together, to));
        const messages = batch.map((value, i) => ({ topic, partition: 0, key: `${at + i}`, value }));
        const began = Date.now();
        await producer.send({ acks: -1, messages });
        longest = Math.max(longest, Date.now() - began);
      }
    };

    await write(0, count / 2, 100);
    // One by one, so that writing lasts longer than a broker takes to stop.
    await Promise.all([write(count / 2, count, 1), replacePod("kafka-0", whole.apps)]);
    // One of them waited for the new pod: no JVM starts within a second.
    expect(longest).toBeGreaterThan(1_000);
    await producer.close();

    expect((await pods(whole.apps))["kafka-0"]).not.toBe(before["kafka-0"]);
    expect(await readBack("proof-all", values.length)).toEqual(values);
    const reader = new Consumer({ ...server, groupId: "proof-end", deserializers: stringDeserializers });
    const ends = await reader.listOffsets({ topics: [topic] });
    await reader.close();
    expect(ends.get(topic)).toEqual([BigInt(count)]);
    // A newly formatted volume would have another ID, or no messages.
    const after = await admin.metadata({ forceUpdate: true });
    expect(after.id).toBe(id);
  });

  it("keeps the offsets of a consumer group", async () => {
    const group = `${topic}-group`;
    expect(await readBack(group, 6_000)).toEqual(values.slice(0, 6_000));
    await replacePod("kafka-0", whole.apps);
    expect(await readBack(group, 4_000)).toEqual(values.slice(6_000));
  });
});

/** The next messages of a consumer group, each committed. A new group starts at the first. */
async function readBack(groupId: string, expected: number): Promise<string[]> {
  const consumer = new Consumer({ ...server, groupId, deserializers: stringDeserializers });
  const stream = await consumer.consume({
    topics: [topic],
    autocommit: false,
    mode: "committed",
    fallbackMode: "earliest",
  });
  const found: string[] = [];
  for await (const message of stream) {
    found.push(message.value);
    if (found.length < expected) continue;
    await message.commit();
    break;
  }
  await consumer.close(true);
  return found;
}
