// Proves the manifests of Kafka and the Schema Registry: which pods a change rolls, and settings that follow the broker
// count.
// Does not prove that the software starts with them: the cluster tests do.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cannotFollow, declaredTopicsScript } from "../../components/kafka/manifests.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { seeded } from "../../render/evaluate.ts";
import { changed, type Evaluated, evaluated } from "./stacks.ts";

/** With generated secrets, the same in every run. */
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

  it(`${nodes} nodes: replication factor ${copies}, ${inSync} in-sync replicas`, () => {
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

  it("every node is a voter under its pod's host name, and all start at once", () => {
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

  it("mounts the volume at the path that the image declares, with the logs in a directory below", () => {
    const [{ volumeMounts }] = find(program, "StatefulSet", "kafka").spec.template.spec.containers;
    expect(volumeMounts).toContainEqual({ name: "data", mountPath: "/var/lib/kafka/data" });
    expect(settings(program)).toContain("\nlog.dirs=/var/lib/kafka/data/logs\n");
  });

  it("the cluster id has Kafka's form: 16 bytes in 22 characters", () => {
    const { id } = find(program, "Secret", "kafka-cluster").stringData;
    expect(id).toMatch(/^[\w-]{22}$/);
    expect(Buffer.from(id, "base64url")).toHaveLength(16);
  });

  it("the registry connects to Kafka's Service, with the default compatibility check of Confluent's", () => {
    const text = find(program, "ConfigMap", "schema-registry-config").data["application.properties"];
    expect(text).toContain(`\napicurio.kafkasql.bootstrap.servers=kafka.${stack}-apps.svc:9092\n`);
    expect(text).toContain("\napicurio.storage.kind=kafkasql\n");
    expect(text).toContain("\napicurio.rules.global.compatibility=BACKWARD\n");
  });

  it("a Job creates the registry's topics, with unlimited retention", () => {
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

  it("without a registry creates no topics", async () => {
    const without = await render("test", "schemaRegistry: { enabled: false }");
    expect(without.objects.filter(({ metadata }) => metadata.name.startsWith("kafka-topics"))).toEqual([]);
  });

  it("of Kafka's memory rolls only Kafka", async () => {
    expect(changed(before, await render("test", "kafka: { resources: { limits: { memory: 1Gi } } }"))).toEqual([
      "StatefulSet kafka",
    ]);
  });

  it("of the registry's memory rolls only the registry", async () => {
    const after = await render("test", "schemaRegistry: { resources: { limits: { memory: 640Mi } } }");
    expect(changed(before, after)).toEqual(["Deployment schema-registry"]);
  });

  it("of the number of nodes keeps the cluster id", async () => {
    const id = (program: Evaluated) => find(program, "Secret", "kafka-cluster").stringData.id;
    expect(id(await render("test", "kafka: { replicas: 3 }"))).toBe(id(before));
  });
});

describe("the number of nodes", () => {
  it.each(["kafka", "minio"])("of %s has the annotation with its configuration key", async (component) => {
    const { metadata } = find(await render("prod"), "StatefulSet", component);
    expect(metadata.annotations).toEqual({ "data-platform/fixed-replicas": `${component}.replicas` });
  });
});

describe("topics of the stack", () => {
  const changes = `
kafka:
  topics:
    orders.v1: { partitions: 6, retention: 12h, retentionBytes: 1Gi, settings: { cleanup.policy: "compact,delete" } }
    audit: { retention: forever }
    plain: {}`;

  it("are created by a Job that reads their settings, and that clients of Kafka wait for", async () => {
    const program = await render("prod", changes);
    expect(find(program, "ConfigMap", "kafka-declared-topics").data).toEqual({
      "orders.v1": "retention.ms=43200000\nretention.bytes=1073741824\ncleanup.policy=compact,delete\n",
      audit: "retention.ms=-1\n",
      plain: "",
    });
    const jobs = program.objects.filter(
      ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("kafka-declared-topics-"),
    );
    expect(jobs).toHaveLength(1);
    const [{ env }] = jobs[0]?.spec.template.spec.containers ?? [{}];
    expect(env).toContainEqual({ name: "DECLARED", value: "orders.v1:6:3 audit:1:3 plain:1:3" });
    const trino = program.evaluation.resources.find(
      ({ type, name }) => type.endsWith(":Job") && name === "superset-databases",
    );
    expect(trino?.options.dependencies.join()).toContain("kafka-declared-topics");
  });

  it("of other settings run the Job again, and roll nothing", async () => {
    const after = await render("prod", changes.replace("12h", "7d"));
    expect(changed(await render("prod", changes), after)).toEqual([
      "ConfigMap kafka-declared-topics",
      "Job kafka-declared-topics-#",
    ]);
  });

  it("keep their partitions and copies: a preview refuses what Kafka cannot do", () => {
    expect(cannotFollow("", "orders:6:3")).toBeUndefined();
    expect(cannotFollow("orders:6:3", "orders:12:3 audit:1:3")).toBeUndefined();
    expect(cannotFollow("orders:6:3 audit:1:3", "audit:1:3")).toBeUndefined();
    expect(cannotFollow("orders:6:3", "orders:5:3")).toBe(
      "kafka.topics.orders.partitions: found 5; expected at least 6, which the topic has: Kafka removes no partition",
    );
    expect(cannotFollow("orders:6:1", "orders:6:3")).toMatch(
      /^kafka.topics.orders.replication: found 3; expected 1, which the topic has/,
    );
  });

  describe("in the Job's script", () => {
    const folder = mkdtempSync(join(tmpdir(), "topics-"));
    afterAll(() => rmSync(folder, { recursive: true }));

    /** What the script calls, and its exit code, if the topic has `partitions` already. */
    function run(declared: string, partitions: number) {
      const log = join(folder, "log");
      writeFileSync(log, "");
      writeFileSync(join(folder, "orders.v1"), "retention.ms=1\n");
      const described = `Topic: orders.v1\tTopicId: x\tPartitionCount: ${partitions}\tReplicationFactor: 1\n`;
      for (const tool of ["kafka-topics.sh", "kafka-configs.sh"]) {
        const lines = [
          "#!/bin/sh",
          `echo ${tool} "$@" >> ${log}`,
          `case "$*" in *--describe*) printf '${described}';; esac`,
        ];
        writeFileSync(join(folder, tool), `${lines.join("\n")}\n`);
        chmodSync(join(folder, tool), 0o755);
      }
      const script = declaredTopicsScript(false)
        .replaceAll("/opt/kafka/bin", folder)
        .replaceAll("/etc/kafka/topics", folder);
      let exit = 0;
      try {
        const env = { PATH: process.env.PATH, SERVERS: "kafka:9092", DECLARED: declared };
        execFileSync("sh", ["-eu", "-c", script], { env, stdio: "pipe" });
      } catch (error) {
        exit = (error as { status: number }).status;
      }
      const calls = readFileSync(log, "utf8").trim().split("\n");
      return { exit, calls: calls.map((call) => call.replace(" --bootstrap-server kafka:9092", "")) };
    }

    const create = "kafka-topics.sh --create --if-not-exists --topic orders.v1 --partitions 6 --replication-factor 1";
    const describeIt = "kafka-topics.sh --describe --topic orders[.]v1";
    const configure = `kafka-configs.sh --alter --topic orders.v1 --add-config-file ${folder}/orders.v1`;

    it("one that is there keeps its partitions and gets its settings", () => {
      expect(run("orders.v1:6:1", 6)).toEqual({ exit: 0, calls: [create, describeIt, configure] });
    });

    it("one with fewer partitions gets more, and no other topic that its name matches as an expression", () => {
      const alter = "kafka-topics.sh --alter --topic orders[.]v1 --partitions 6";
      expect(run("orders.v1:6:1", 4)).toEqual({ exit: 0, calls: [create, describeIt, alter, configure] });
    });

    it("one with more partitions is an error that no retry can fix", () => {
      expect(run("orders.v1:6:1", 8)).toEqual({ exit: 78, calls: [create, describeIt] });
    });
  });
});
