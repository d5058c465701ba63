import { z } from "zod";
import { derived } from "../../config/derived.ts";
import { block, count, enabled, image, memory, resources, serviceAnnotations, storage } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { bytes } from "../../config/quantity.ts";
import { settings } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { kafkaImages } from "./images.ts";
import { takenNames } from "./users.ts";

/** Who is in the cluster and how its nodes and clients connect, where the data is, and what follows from another key. */
const taken = {
  "advertised.*": "",
  "allow.everyone.if.no.acl.found": "global.separateUsers",
  "authorizer.class.name": "global.separateUsers",
  "broker.id": "",
  "controller.*": "",
  "default.replication.factor": "kafka.replicas",
  "inter.broker.*": "",
  "listener.*": "",
  listeners: "",
  "log.dir": "",
  "log.dirs": "",
  "metadata.log.dir": "",
  "min.insync.replicas": "kafka.replicas",
  "node.id": "",
  "offsets.topic.replication.factor": "kafka.replicas",
  "process.roles": "",
  "sasl.*": "global.separateUsers",
  "security.*": "",
  "share.coordinator.state.topic.min.isr": "kafka.replicas",
  "share.coordinator.state.topic.replication.factor": "kafka.replicas",
  "super.users": "global.separateUsers",
  "transaction.state.log.min.isr": "kafka.replicas",
  "transaction.state.log.replication.factor": "kafka.replicas",
};

const topicName = z
  .string()
  .regex(/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,248}$/, {
    error: "expected a topic's name of letters, digits, dots, dashes and underscores, that begins with no dot",
  })
  .refine((name) => !/^(__|kafkasql-|registry-events)/.test(name), {
    error: "expected another name: Kafka and the schema registry have topics of their own by it",
  });
const units = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const retentionExpected = "expected minutes, hours or days such as 30m, 12h or 7d, or forever";
const topic = block({
  partitions: count("partitions", 1, 10_000)
    .default(1)
    .describe("Partitions. A topic may get more of them, and never fewer."),
  replication: count("replicas", 1, 7)
    .optional()
    .describe("Copies of each partition, on as many nodes. Default: one per node, up to three. Fixed once it exists."),
  retention: z
    .string({ error: retentionExpected })
    .regex(/^([1-9]\d{0,5}[mhd]|forever)$/, { error: retentionExpected })
    .optional()
    .describe("How long messages are kept, such as 12h or 7d, or forever. Default: the node's, a week."),
  retentionBytes: memory
    .optional()
    .describe("Size of a partition above which the oldest messages are deleted. Default: the node's, no limit."),
  settings: settings({
    sets: {
      "retention.ms": "kafka.topics.<name>.retention",
      "retention.bytes": "kafka.topics.<name>.retentionBytes",
    },
    example: "cleanup.policy",
  }).describe("Settings of the topic by their names, such as `cleanup.policy: compact`."),
});
type Topic = z.output<typeof topic>;

const names = (what: string) => {
  const expected = `expected a ${what} of letters, digits, dots, dashes and underscores, or how it begins with * at the end`;
  return z
    .array(z.string({ error: expected }).regex(/^([a-zA-Z0-9._-]{1,248}\*?|\*)$/, { error: expected }), {
      error: "expected a list of names",
    })
    .default([]);
};
const user = block({
  topics: block({
    read: names("topic's name").describe(
      "Topics that it reads, such as `orders`, or `orders.*` for all that begin so.",
    ),
    write: names("topic's name").describe("Topics that it writes. It creates none: `kafka.topics` does."),
  }).prefault({}),
  groups: names("consumer group's name").describe("Consumer groups that it may be in, as those of topics are named."),
});
const userExpected =
  "expected a name of at most 40 lower-case letters, digits and dashes that starts with a letter and ends with a letter or digit";
const userName = z
  .string()
  .regex(/^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/, { error: userExpected })
  .refine((name) => !takenNames.includes(name), {
    error: `expected another name: ${takenNames.join(", ")} are the platform's own`,
  });

/** Settings of a topic, as Kafka reads them. */
export function topicSettings({ retention, retentionBytes, settings }: Topic): Record<string, string> {
  const unit = retention?.at(-1) as keyof typeof units;
  return {
    ...(retention && {
      "retention.ms": retention === "forever" ? "-1" : `${Number.parseInt(retention, 10) * units[unit]}`,
    }),
    ...(retentionBytes && { "retention.bytes": `${bytes(retentionBytes)}` }),
    ...settings,
  };
}

/** Replicas of a topic without a number of its own: one per node, up to three. */
export const usualReplication = derived("atMostThree", (nodes: number): number => Math.min(nodes, 3));

const config = block({
  enabled: enabled(),
  // 4.4.0 lacks a module of its tools in Maven Central, so the tests could not run it.
  image: image("apache/kafka:4.3.1"),
  replicas: z
    .int({ error: "expected 1, 3, 5 or 7 nodes" })
    .refine((n) => [1, 3, 5, 7].includes(n), {
      error: "expected 1, 3, 5 or 7 nodes: each is broker and controller, and controllers decide by majority",
    })
    .default(1)
    .meta({ enum: [1, 3, 5, 7] })
    .describe(
      "Nodes, each broker and controller. Topics have as many replicas, up to three. Fixed once the nodes have data.",
    ),
  resources: resources({ cpu: "100m", memory: "640Mi", limit: "768Mi" }),
  storage: storage("10Gi", "each node's volume"),
  ...workload({
    priority: "storage",
    sets: {
      CLUSTER_ID: "",
      COPIES: "",
      DECLARED: "kafka.topics",
      DOMAIN: "",
      KAFKA_HEAP_OPTS: "kafka.resources.limits.memory",
      LOG_DIR: "",
      SERVERS: "",
      TOPICS: "",
      VOTERS: "kafka.replicas",
    },
  }),
  service: block({
    type: z
      .enum(["ClusterIP"], {
        error:
          "expected ClusterIP: brokers send clients on to their own names, which only pods of the cluster can resolve",
      })
      .default("ClusterIP")
      .describe("Kind of the Service that clients use. Brokers are reached from within the cluster alone."),
    annotations: serviceAnnotations,
  }).prefault({}),
  settings: settings({ sets: taken, example: "log.retention.hours" }).describe(
    "Settings of every node, those of `server.properties`, by their names, such as `log.retention.hours: 48`.",
  ),
  topics: z
    .record(topicName, topic, { error: "expected topics by their names" })
    .default({})
    .describe("Topics to create, by their names. One that is removed here stays, with its messages."),
  users: z
    .record(userName, user, { error: "expected users by their names" })
    .default({})
    .describe(
      "Users of your own clients, by their names, each with a Secret `kafka-user-<name>`. Only with `global.separateUsers`.",
    ),
  auth: block({
    rotation: count("rotations", 1, 1_000_000)
      .default(1)
      .describe("Raise it by one to generate the password of every user again and apply it."),
    nodeRotation: count("rotations", 1, 1_000_000)
      .default(1)
      .describe(
        "Raise it by one for another password of the nodes among themselves. All nodes restart at once, since those with different passwords refuse each other.",
      ),
  }).prefault({}),
})
  .superRefine(({ replicas, topics, storage }, context) => {
    for (const [name, { replication }] of Object.entries(topics))
      if (replication !== undefined && replication > replicas)
        context.addIssue({
          code: "custom",
          path: ["topics", name, "replication"],
          input: replication,
          message: `expected at most kafka.replicas, which is ${replicas}: each copy is on another node`,
        });
    const most = Object.values(topics).reduce(
      (sum, { partitions, retentionBytes, replication = usualReplication(replicas) }) =>
        sum + (retentionBytes ? bytes(retentionBytes) * partitions * replication : 0),
      0,
    );
    if (most > bytes(storage.size) * replicas)
      context.addIssue({
        code: "custom",
        path: ["storage", "size"],
        input: storage.size,
        message: `expected at least ${Math.ceil(most / replicas / 2 ** 30)}Gi: kafka.topics may take that on each node by their retentionBytes, and a node stops when its volume is full`,
      });
  })
  .prefault({});

export const kafka = component({
  title: "Apache Kafka",
  summary: "Event streams, in KRaft mode",
  folder: "kafka",
  images: kafkaImages,
  namespace: "apps",
  config,
});
