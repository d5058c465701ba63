// Proves that with `global.separateUsers` the users of MinIO, Redis, ClickHouse and Kafka may do what their components
// need and nothing else, that each component still works, and that a full cache of Redis stops no DAG run.
// Does not prove ClickHouse's grants if its image is built from packages: that server is too old for them; nor the switch
// of a Kafka that has data (64-kafka-logins.test.ts does).
// Exercises: postgresql, redis, minio, nessie, kafka, schema-registry, clickhouse, trino, flink, spark, airflow, superset, web-app.
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { ask, logIn, runDag } from "./airflow.ts";
import { connected, failure, readFirst, topicsOf, write } from "./kafka.ts";
import {
  address,
  mustRun,
  read,
  resolveClusterNames,
  roomFor,
  runIn,
  s3,
  secret,
  unready,
  whole,
  wholeFile,
} from "./kit.ts";
import { column } from "./trino.ts";

/** The stack, in which the application `shop` may write these topics of Kafka. */
const file = (writes: string[]) =>
  wholeFile(
    stringify({
      trino: { kafkaTopics: ["rights"] },
      kafka: {
        topics: { rights: {}, "shop-orders": {}, other: {} },
        users: { shop: { topics: { read: ["rights"], write: writes }, groups: ["shop-*"] } },
      },
    }),
  );
const up = (writes: string[]) => mustRun(["up", "--stack", "test", "--config-file", file(writes)]);

beforeAll(async () => {
  await roomFor("test");
  if (!process.env.TEST_STACK) await up(["rights", "shop-*"]);
  await resolveClusterNames();
});

afterAll(() => vi.restoreAllMocks());

it("leaves everything ready", async () => {
  expect((await Promise.all(Object.values(whole).map(unready))).flat()).toEqual([]);
});

describe("MinIO", () => {
  const all = ["lakehouse", "warehouse", "airflow", "flink", "mlflow", "web-app"];
  const client = async (user: string) => {
    const keys = await secret(user === "platform" ? "minio-platform" : `minio-user-${user}`, whole.core);
    return s3(keys["access-key"] ?? "", keys["secret-key"] ?? "", await address("minio", whole.core));
  };

  it.each([
    ["nessie", ["lakehouse"]],
    ["trino", ["lakehouse"]],
    ["spark", ["lakehouse"]],
    ["flink", ["flink", "lakehouse"]],
    ["airflow", ["airflow"]],
    ["web-app", ["web-app"]],
    ["platform", ["warehouse", "mlflow"]],
  ])("%s reads and writes %j, and is refused in every other bucket", async (user, own) => {
    const own3 = await client(user);
    for (const bucket of own) {
      await own3.putObject(bucket, `proof-of-${user}`, "kept");
      expect(await read(own3, bucket, `proof-of-${user}`)).toBe("kept");
      await own3.removeObject(bucket, `proof-of-${user}`);
    }
    for (const bucket of all.filter((one) => !own.includes(one))) {
      // S3's 403.
      await expect(own3.putObject(bucket, "stolen", "x")).rejects.toMatchObject({ code: "AccessDenied" });
      await expect(own3.statObject(bucket, "any")).rejects.toThrow();
      await expect(own3.listObjects(bucket).toArray()).rejects.toMatchObject({ code: "AccessDenied" });
    }
  });
});

const redis = async (service: string, client: string) => {
  const { username = "", password = "" } = await secret(`redis-user-${client}`, whole.core);
  return new Redis({
    host: await address(service, whole.core),
    username,
    password,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
};

describe("Redis", () => {
  it.each([
    ["redis", "airflow", 1],
    ["redis", "superset-queue", 3],
    ["redis-cache", "superset-cache", 2],
  ])("%s: %s has its database and no other", async (service, client, own) => {
    const connection = await redis(service, client);
    await connection.select(own);
    await connection.set("proof", "kept", "EX", 60);
    expect(await connection.get("proof")).toBe("kept");
    for (const other of [1, 2, 3, 4].filter((one) => one !== own))
      await expect(connection.select(other)).rejects.toThrow(/NOPERM/);
    await expect(connection.flushall()).rejects.toThrow(/NOPERM/);
    await expect(connection.config("GET", "maxmemory")).rejects.toThrow(/NOPERM/);
    await expect(connection.move("proof", 4)).rejects.toThrow(/NOPERM/);
    connection.disconnect();
  });

  it("monitoring reads no key", async () => {
    const connection = await redis("redis", "monitoring");
    expect(await connection.info("memory")).toContain("used_memory");
    await expect(connection.get("proof")).rejects.toThrow(/NOPERM/);
    connection.disconnect();
  });

  it.each([
    ["redis", "superset-cache"],
    ["redis-cache", "airflow"],
  ])("%s does not know %s", async (service, client) => {
    const connection = await redis(service, client);
    connection.on("error", () => {});
    await expect(connection.ping()).rejects.toThrow();
    connection.disconnect();
  });
});

describe("ClickHouse", () => {
  const send = async (user: string, statement: string) => {
    const { password = "" } = await secret(`clickhouse-user-${user}`, whole.apps);
    const response = await fetch(`http://${await address("clickhouse", whole.apps)}:8123/`, {
      method: "POST",
      body: statement,
      headers: { "X-ClickHouse-User": user, "X-ClickHouse-Key": password },
    });
    return { ok: response.ok, text: (await response.text()).trim() };
  };

  it("lets Trino write, and Superset read alone", async () => {
    const statements = [
      "DROP TABLE IF EXISTS rights",
      "CREATE TABLE rights (word String) ENGINE = MergeTree ORDER BY word",
      "INSERT INTO rights VALUES ('one')",
    ];
    for (const statement of statements) expect(await send("trino", statement)).toMatchObject({ ok: true });
    expect(await send("superset", "SELECT word FROM rights")).toEqual({ ok: true, text: "one" });
    for (const statement of [
      "INSERT INTO rights VALUES ('two')",
      "DROP TABLE rights",
      "CREATE TABLE b (a Int8) ENGINE = Log",
    ])
      expect(await send("superset", statement)).toMatchObject({ ok: false });
    for (const user of ["trino", "superset"])
      expect(await send(user, "CREATE USER other IDENTIFIED BY 'x'")).toMatchObject({ ok: false });
    await send("trino", "DROP TABLE rights");
  });
});

// A running stack has not these topics and users.
describe.skipIf(process.env.TEST_STACK)("Kafka", () => {
  const client = (user?: string) => connected(whole.apps, user && `kafka-user-${user}`);
  const shop = () => client("shop");

  it("lets nobody in without a login, or with a wrong password", async () => {
    expect(await failure(topicsOf(await client()))).toContain("Connection closed");
    const wrong = { mechanism: "SCRAM-SHA-512" as const, username: "shop", password: "wrong" };
    expect(await failure(topicsOf({ ...(await shop()), sasl: wrong }))).toContain("SASL authentication failed");
  });

  it("lets an application read and write its topics", async () => {
    await write(await shop(), "rights", ["one", "two"]);
    await write(await shop(), "shop-orders", ["three"]);
    expect(await readFirst(await shop(), "rights", "shop-proof", 2)).toEqual(["one", "two"]);
    expect((await topicsOf(await shop())).sort()).toEqual(["rights", "shop-orders"]);
  });

  it("refuses it everything else", async () => {
    expect(await failure(write(await shop(), "other", ["x"]))).toContain("Topic authorization failed");
    expect(await failure(readFirst(await shop(), "shop-orders", "shop-proof", 1))).toContain(
      "Topic authorization failed",
    );
    expect(await failure(write(await shop(), "kafkasql-journal", ["x"]))).toContain("Topic authorization failed");
    expect(await failure(readFirst(await shop(), "rights", "another", 1))).toContain("Group authorization failed");
    expect(await failure(write(await client("trino"), "rights", ["x"]))).toContain("Topic authorization failed");
    expect(await failure(write(await client("topics"), "rights", ["x"]))).toContain("Topic authorization failed");
  });

  it("serves the Schema Registry", async () => {
    const subjects = `http://${await address("schema-registry", whole.apps)}:8085/apis/ccompat/v7/subjects`;
    const response = await fetch(`${subjects}/rights-value/versions`, {
      method: "POST",
      headers: { "Content-Type": "application/vnd.schemaregistry.v1+json" },
      body: JSON.stringify({ schema: JSON.stringify({ type: "string" }) }),
    });
    expect(response.status).toBe(200);
    expect(await (await fetch(subjects)).json()).toContain("rights-value");
  });

  it("serves Trino the topics of its catalog", async () => {
    expect(await column("SELECT _message FROM kafka.default.rights ORDER BY 1")).toEqual(["one", "two"]);
  });

  it("gives ./platform credentials its administrator, who may do everything", async () => {
    expect(await mustRun(["credentials", "kafka", "--stack", "test", "--field", "username"])).toBe("admin");
    const topics = await topicsOf(await connected(whole.apps, "kafka-admin"));
    expect(topics).toEqual(expect.arrayContaining(["rights", "other", "kafkasql-journal"]));
  });

  it("has tools in its pods that log in as a node", async () => {
    const listed = await runIn("kafka-0", whole.apps, "kafka", [
      ...["/opt/kafka/bin/kafka-acls.sh", "--bootstrap-server", "localhost:9094"],
      ...["--command-config", "/etc/kafka-login/client.properties", "--list"],
    ]);
    expect(listed).toContain("principal=User:schema-registry");
  });

  it("takes away what the stack takes away", async () => {
    await up(["rights"]);
    expect(await failure(write(await shop(), "shop-orders", ["x"]))).toContain("Topic authorization failed");
    await write(await shop(), "rights", ["three"]);
  });
});

describe("a full cache", () => {
  interface Run {
    dag_run_id: string;
    state: string;
  }

  it("stops none of 100 DAG runs", { timeout: 1_500_000 }, async () => {
    const cache = await redis("redis-cache", "superset-cache");
    await cache.select(2);
    const { password = "" } = await secret("redis-admin", whole.core);
    const host = await address("redis-cache", whole.core);
    const admin = new Redis({ host, password, lazyConnect: true, retryStrategy: () => null });
    const value = "x".repeat(100_000);
    /** Writes until the server drops keys for others, and on. */
    const fill = async () => {
      for (let key = 0; key < 2_000; key++) await cache.set(`filler-${key}-${Date.now()}`, value, "EX", 3_600);
    };
    const dropped = async () => Number(/evicted_keys:(\d+)/.exec(await admin.info("stats"))?.[1]);
    // A server that refuses a write or a connection ends the test at once.
    await vi.waitUntil(
      async () => {
        await fill();
        return (await dropped()) > 100;
      },
      { timeout: 120_000, interval: 100 },
    );

    await logIn();
    // It waits until Airflow knows the DAG.
    await runDag("hello");
    // One after another: the API server has few connections to the database.
    const runs: Run[] = [];
    for (let i = 0; i < 100; i++)
      runs.push(await ask<Run>("/api/v2/dags/hello/dagRuns", { method: "POST", body: { logical_date: null } }));
    const states = async () => {
      const { dag_runs } = await ask<{ dag_runs: Run[] }>("/api/v2/dags/hello/dagRuns?limit=200&order_by=-run_after");
      const ids = new Set(runs.map(({ dag_run_id }) => dag_run_id));
      return dag_runs.filter(({ dag_run_id }) => ids.has(dag_run_id)).map(({ state }) => state);
    };
    await vi.waitUntil(
      async () => {
        await fill();
        const found = await states();
        expect(found.filter((state) => state === "failed")).toEqual([]);
        return found.filter((state) => state === "success").length === 100;
      },
      { timeout: 1_200_000, interval: 2_000 },
    );
    for (const client of [cache, admin]) client.disconnect();
    expect((await Promise.all([whole.core, whole.apps].map(unready))).flat()).toEqual([]);
  });
});
