// Proves that settings of a stack reach running servers, that extensions and topics are created as the stack says, and
// that a preview refuses what cannot be changed; that pods run under an existing service account.
// Does not prove Nessie's settings, nor that Alertmanager's receivers get a message. Those of Trino, Flink, Spark, Airflow
// and Superset are in 66-own-settings.
// Exercises: postgresql, redis, kafka, clickhouse, components/monitoring.
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  address,
  fileOfComponents,
  get,
  kube,
  mustRun,
  platform,
  query,
  roomFor,
  runIn,
  secret,
  unchanged,
} from "./kit.ts";

const [core, apps, monitoring] = ["dev-core", "dev-apps", "dev-monitoring"];
const tool = (name: string, ...args: string[]) =>
  runIn("kafka-0", apps, "kafka", [`/opt/kafka/bin/${name}.sh`, "--bootstrap-server", "localhost:9092", ...args]);

const topics = (partitions: number) => ({
  "orders.v1": { partitions, retention: "12h", settings: { "cleanup.policy": "compact,delete" } },
});
const components = (partitions: number) => ({
  postgresql: {
    enabled: true,
    databases: ["shop"],
    extensions: { shop: ["pg_trgm", "pg_stat_statements"] },
    settings: { shared_preload_libraries: "pg_stat_statements", work_mem: "16MB", shared_buffers: "96MB" },
  },
  redis: { enabled: true, settings: { "slowlog-max-len": 256, appendfsync: "always" } },
  kafka: { enabled: true, settings: { "log.retention.hours": 48 }, topics: topics(partitions) },
  clickhouse: {
    enabled: true,
    settings: { max_concurrent_queries: 50 },
    users: { profiles: { default: { max_execution_time: 61 } } },
  },
  monitoring: {
    enabled: true,
    grafana: { enabled: false },
    rules: [
      { name: "own", interval: "1s", rules: [{ alert: "Always", expr: "vector(1)", labels: { severity: "page" } }] },
    ],
    alertmanager: {
      enabled: true,
      config: {
        route: { receiver: "day", routes: [{ receiver: "night", matchers: ['severity="page"'] }] },
        receivers: [{ name: "day" }, { name: "night" }],
      },
    },
  },
});
const up = (partitions: number) =>
  mustRun(["up", "--stack", "dev", "--config-file", fileOfComponents(components(partitions))]);

beforeAll(async () => {
  await roomFor(undefined);
  await up(3);
});

afterAll(() => mustRun(["destroy", "--stack", "dev"]));

it("nothing is left to do", async () => {
  expect(await up(3)).toMatch(unchanged);
});

describe("PostgreSQL", () => {
  it("has the settings, those that replace the platform's too", async () => {
    const { password = "" } = await secret("postgresql-admin", core);
    const of = async (name: string) => Object.values((await query("postgres", password, `SHOW ${name}`))[0] as object);
    expect(await of("work_mem")).toEqual(["16MB"]);
    expect(await of("shared_buffers")).toEqual(["96MB"]);
  });

  it("has the extensions in their database, for its owner to use", async () => {
    const { password = "" } = await secret("postgresql-user-shop", core);
    expect(await query("shop", password, "SELECT similarity('word', 'words') > 0.5 AS alike")).toEqual([
      { alike: true },
    ]);
    expect(await query("shop", password, "SELECT count(*) > 0 AS counted FROM pg_stat_statements")).toEqual([
      { counted: true },
    ]);
  });
});

it("Redis has the directives", async () => {
  const { password } = await secret("redis-admin", core);
  const client = new Redis({ host: await address("redis", core), password, lazyConnect: true });
  expect(await client.config("GET", "slowlog-max-len")).toEqual(["slowlog-max-len", "256"]);
  expect(await client.config("GET", "appendfsync")).toEqual(["appendfsync", "always"]);
  client.disconnect();
});

it("ClickHouse has the elements of both files", async () => {
  const { password = "" } = await secret("clickhouse-admin", apps);
  const answer = await fetch(`http://${await address("clickhouse", apps)}:8123/`, {
    method: "POST",
    headers: { "X-ClickHouse-User": "platform", "X-ClickHouse-Key": password },
    body: "SELECT value FROM system.settings WHERE name = 'max_execution_time'",
  });
  expect(await answer.text()).toBe("61\n");
});

describe("Kafka", () => {
  const partitions = async (topic: string) => {
    const described = await tool("kafka-topics", "--describe", "--topic", topic);
    return Number(/PartitionCount: (\d+)/.exec(described)?.[1]);
  };

  it("has the topic with its settings, and the nodes' settings", async () => {
    expect(await partitions("orders[.]v1")).toBe(3);
    const configs = await tool("kafka-configs", "--describe", "--topic", "orders.v1");
    expect(configs).toContain("retention.ms=43200000");
    expect(configs).toContain("cleanup.policy=compact,delete");
    expect(await tool("kafka-configs", "--describe", "--broker", "0", "--all")).toContain("log.retention.hours=48");
  });

  it("gets more partitions, and another topic whose name looks alike does not", async () => {
    await tool("kafka-topics", "--create", "--if-not-exists", "--topic", "orders-v1", "--partitions", "1");
    await up(5);
    expect(await partitions("orders[.]v1")).toBe(5);
    expect(await partitions("orders-v1")).toBe(1);
  });

  it("keeps them: a preview refuses fewer", async () => {
    const { exitCode, all } = await platform([
      ...["preview", "--stack", "dev"],
      ...["--config-file", fileOfComponents(components(2))],
    ]);
    expect(exitCode).not.toBe(0);
    expect(all).toContain(
      "kafka.topics.orders.v1.partitions: found 2; expected at least 5, which the topic has: Kafka removes no partition",
    );
  });
});

it("Redis runs under an existing service account, which a preview asks for first, and the platform's own goes", async () => {
  const { redis, ...others } = components(5);
  const file = fileOfComponents({ ...others, redis: { ...redis, serviceAccount: { name: "our-redis" } } });
  const { exitCode, all } = await platform(["preview", "--stack", "dev", "--config-file", file]);
  expect(exitCode).not.toBe(0);
  expect(all).toContain("redis.serviceAccount.name: found no ServiceAccount our-redis in namespace dev-core");
  await kube().apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "our-redis", namespace: core } });
  await mustRun(["up", "--stack", "dev", "--config-file", file]);
  expect((await get("Pod", "redis-0", core))?.spec.serviceAccountName).toBe("our-redis");
  const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "redis", namespace: core } };
  expect(await kube().get(account)).toBeUndefined();
});

it("an alert of the stack's rules reaches the receiver of its route", async () => {
  const alerts = `http://${await address("alertmanager", monitoring)}:9093/api/v2/alerts`;
  const found = async () => {
    const all = (await (await fetch(alerts)).json()) as { labels: object; receivers: { name: string }[] }[];
    return all.map(({ labels, receivers }) => ({ labels, receivers }));
  };
  await vi.waitFor(
    async () =>
      expect(await found()).toEqual([
        { labels: { alertname: "Always", severity: "page" }, receivers: [{ name: "night" }] },
      ]),
    { timeout: 60_000, interval: 1_000 },
  );
});
