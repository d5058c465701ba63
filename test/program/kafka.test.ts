// Proves what Kafka's and the schema registry's objects say without a cluster: what a change of each rolls, and that
// what depends on the number of brokers follows it. That the software starts with them, the cluster tests prove.
import { beforeAll, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { seeded } from "../../render/evaluate.ts";
import { changed, type Evaluated, evaluated } from "./stacks.ts";

/** With values that look like real ones, and the same ones each time. */
const render = (stack: string, changes = "{}") => evaluated(stack, { changes, random: seeded("a test's seed") });

const find = ({ objects }: Evaluated, kind: string, name: string): KubernetesObject =>
  objects.find((one) => one.kind === kind && one.metadata.name === name)!;

const settings = (program: Evaluated) => find(program, "ConfigMap", "kafka-config").data["server.properties"] as string;

describe.each([
  ["test", 1, 1, 1],
  ["prod", 3, 3, 2],
])("in %s", (stack, nodes, copies, inSync) => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await render(stack);
  });

  it(`${nodes} nodes keep ${copies} copies, of which ${inSync} must be written`, () => {
    const expected = {
      "default.replication.factor": copies,
      "min.insync.replicas": inSync,
      "offsets.topic.replication.factor": copies,
      "transaction.state.log.replication.factor": copies,
      "transaction.state.log.min.isr": inSync,
      "share.coordinator.state.topic.replication.factor": copies,
      "share.coordinator.state.topic.min.isr": inSync,
    };
    for (const [key, value] of Object.entries(expected)) expect(settings(program)).toContain(`\n${key}=${value}\n`);
    expect(find(program, "StatefulSet", "kafka").spec.replicas).toBe(nodes);
  });

  it("every node is a voter by the name of its pod, and all start at once", () => {
    const voters = Array.from(
      { length: nodes },
      (_, i) => `${i}@kafka-${i}.kafka-headless.${stack}-apps.svc:9093`,
    ).join(",");
    expect(settings(program)).toContain(`controller.quorum.voters=${voters}\n`);
    const { spec } = find(program, "StatefulSet", "kafka");
    expect(spec.podManagementPolicy).toBe("Parallel");
    expect(spec.serviceName).toBe("kafka-headless");
    expect(find(program, "Service", "kafka-headless").spec.publishNotReadyAddresses).toBe(true);
  });

  it("the volume lies where the image declares one, and the logs below its root", () => {
    const [{ volumeMounts }] = find(program, "StatefulSet", "kafka").spec.template.spec.containers;
    expect(volumeMounts).toContainEqual({ name: "data", mountPath: "/var/lib/kafka/data" });
    expect(settings(program)).toContain("\nlog.dirs=/var/lib/kafka/data/logs\n");
  });

  it("the cluster's id has the form that Kafka asks for: 16 bytes in 22 characters", () => {
    const { id } = find(program, "Secret", "kafka-cluster").stringData;
    expect(id).toMatch(/^[\w-]{22}$/);
    expect(Buffer.from(id, "base64url")).toHaveLength(16);
  });

  it("the registry asks Kafka's Service, and refuses what Confluent's would", () => {
    const text = find(program, "ConfigMap", "schema-registry-config").data["application.properties"];
    expect(text).toContain(`\napicurio.kafkasql.bootstrap.servers=kafka.${stack}-apps.svc:9092\n`);
    expect(text).toContain("\napicurio.storage.kind=kafkasql\n");
    expect(text).toContain("\napicurio.rules.global.compatibility=BACKWARD\n");
  });

  it("the registry's topics are made before it, by one, and never thrown away", () => {
    const text = find(program, "ConfigMap", "schema-registry-config").data["application.properties"] as string;
    expect(text).toContain("\napicurio.kafkasql.topic.auto-create=false\n");
    const asked = [...text.matchAll(/^apicurio\.(?:kafkasql|kafkasql\.snapshots|events\.kafka)\.topic=(.+)$/gm)];
    const { spec } = program.objects.find(
      ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("kafka-topics-"),
    )!;
    const [{ command, env }] = spec.template.spec.containers;
    const value = (name: string) => env.find((one: { name: string }) => one.name === name).value;
    expect(asked).toHaveLength(3);
    expect(value("TOPICS").split(" ").sort()).toEqual(asked.map(([, topic]) => topic).sort());
    expect(value("COPIES")).toBe(`${copies}`);
    for (const setting of ["cleanup.policy=delete", "retention.ms=-1", "retention.bytes=-1"])
      expect(command.at(-1)).toContain(`--config ${setting}`);
  });
});

describe("a change", () => {
  let before: Evaluated;
  beforeAll(async () => {
    before = await render("test");
  });

  it("of whether there is a registry makes its topics, or leaves them", async () => {
    const without = await render("test", "schemaRegistry: { enabled: false }");
    expect(without.objects.filter(({ metadata }) => metadata.name.startsWith("kafka-topics"))).toEqual([]);
  });

  it("of Kafka's memory rolls Kafka alone", async () => {
    expect(changed(before, await render("test", "kafka: { resources: { limits: { memory: 1Gi } } }"))).toEqual([
      "StatefulSet kafka",
    ]);
  });

  it("of the registry's memory rolls the registry alone", async () => {
    const after = await render("test", "schemaRegistry: { resources: { limits: { memory: 640Mi } } }");
    expect(changed(before, after)).toEqual(["Deployment schema-registry"]);
  });

  it("of the number of nodes makes no other cluster id", async () => {
    const id = (program: Evaluated) => find(program, "Secret", "kafka-cluster").stringData.id;
    expect(id(await render("test", "kafka: { replicas: 3 }"))).toBe(id(before));
  });
});

describe("the number of nodes", () => {
  it.each(["kafka", "minio"])("of %s is marked as fixed, under the key it comes from", async (part) => {
    const { metadata } = find(await render("prod"), "StatefulSet", part);
    expect(metadata.annotations).toEqual({ "data-platform/fixed-replicas": `${part}.replicas` });
  });
});
