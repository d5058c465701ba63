// Proves that PostgreSQL, Redis and MinIO start from our manifests, serve real clients and refuse wrong passwords.
// Does not prove several servers of one component, nor any cluster but the local one.
// Exercises: postgresql, redis, minio.
import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { beforeAll, describe, expect, it } from "vitest";
import {
  address,
  core,
  get,
  kube,
  mustRun,
  pods,
  query,
  reachable,
  read,
  replacePod,
  roomFor,
  s3,
  secret,
  unready,
} from "./kit.ts";

beforeAll(async () => {
  await roomFor("dev");
  await mustRun(["up", "--stack", "dev"]);
});

it("everything is ready, and nothing has restarted", async () => {
  expect(await unready(core)).toEqual([]);
  const servers = (await kube().list("v1", "Pod", core)).filter(({ status }) => status?.phase !== "Succeeded");
  const names = servers.map(({ metadata }) => metadata.name.replace(/-[0-9a-f]+-\w{5}$/, ""));
  expect(names.sort()).toEqual(["minio-0", "nessie", "postgresql-0", "redis-0"]);
  const restarts = servers.flatMap(({ status }) => status!.containerStatuses as { restartCount: number }[]);
  expect(restarts.map(({ restartCount }) => restartCount)).toEqual([0, 0, 0, 0]);
});

const databases = ["nessie", "airflow", "superset", "mlflow"];

describe("PostgreSQL", () => {
  it.each(databases)("admits %s to its own database, to create tables", async (name) => {
    const { password = "" } = await secret(`postgresql-user-${name}`);
    await query(name, password, "CREATE TABLE IF NOT EXISTS proof (id int)");
    expect(await query(name, password, "SELECT current_user AS me, current_database() AS db")).toEqual([
      { me: name, db: name },
    ]);
  });

  it.each(databases)("keeps %s out of the other databases", async (name) => {
    const { password = "" } = await secret(`postgresql-user-${name}`);
    for (const other of [...databases, "postgres"].filter((one) => one !== name))
      await expect(query(name, password, "SELECT 1", other)).rejects.toThrow(/permission denied for database/);
  });

  it("grants its users no further right", async () => {
    const { password = "" } = await secret("postgresql-user-nessie");
    await expect(query("nessie", password, "CREATE DATABASE more")).rejects.toThrow(/permission denied/);
    await expect(query("nessie", password, "CREATE ROLE other")).rejects.toThrow(/permission denied/);
    await expect(query("nessie", password, "SELECT pg_read_file('/etc/passwd')")).rejects.toThrow(/permission denied/);
  });

  it("refuses a wrong password and a missing one", async () => {
    await expect(query("nessie", "wrong", "SELECT 1")).rejects.toThrow(/password authentication failed/);
    await expect(query("nessie", "", "SELECT 1")).rejects.toThrow(/password/);
  });

  it("runs with the configured settings", async () => {
    const { password = "" } = await secret("postgresql-admin");
    const [setting] = await query("postgres", password, "SHOW shared_buffers");
    expect(setting).toEqual({ shared_buffers: "128MB" });
  });
});

const redis = async (password?: string, db = 0) =>
  new Redis({
    host: await address("redis"),
    password,
    db,
    lazyConnect: true,
    // The client's ready check runs INFO, which needs a login.
    enableReadyCheck: password !== undefined,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });

describe("Redis", () => {
  it("stores a key for a client with the password", async () => {
    const client = await redis((await secret("redis-admin")).password);
    await client.set("proof", "kept");
    expect(await client.get("proof")).toBe("kept");
    expect(await client.config("GET", "appendonly")).toEqual(["appendonly", "yes"]);
    client.disconnect();
  });

  it("a cache that fills the server leaves queued tasks where they are", { timeout: 120_000 }, async () => {
    const { password } = await secret("redis-admin");
    const [queue, cache] = [await redis(password, 1), await redis(password, 2)];
    const waiting = Array.from({ length: 500 }, (_, i) => `task ${i}`);
    await queue.rpush("proof-of-a-queue", ...waiting);
    const evicted = async () => Number(/evicted_keys:(\d+)/.exec(await cache.info("stats"))?.[1]);
    const before = await evicted();
    const result = randomBytes(4 * 1024 * 1024);
    try {
      for (let i = 0; (await evicted()) < before + 10; i++) await cache.set(`proof_${i}`, result, "EX", 3_600);
      expect(await queue.lrange("proof-of-a-queue", 0, -1)).toEqual(waiting);
    } finally {
      await queue.del("proof-of-a-queue");
      await cache.flushdb();
      queue.disconnect();
      cache.disconnect();
    }
  });

  it.each([
    ["a wrong password", "wrong", /WRONGPASS/],
    ["no password", undefined, /NOAUTH/],
  ])("refuses %s", async (_, password, expected) => {
    const client = await redis(password);
    // The client reports a refused login as an event, and a refused command as its result.
    const refusals: string[] = [];
    client.on("error", ({ message }) => refusals.push(message));
    const answer = await client.get("proof").catch(({ message }) => void refusals.push(message));
    expect(answer).toBeUndefined();
    expect(refusals.join()).toMatch(expected);
    client.disconnect();
  });
});

describe("MinIO", () => {
  const buckets = ["lakehouse", "warehouse", "airflow", "flink", "mlflow", "web-app"];
  const platform = async () => {
    const keys = await secret("minio-platform");
    return s3(keys["access-key"]!, keys["secret-key"]!);
  };
  const admin = async () => {
    const keys = await secret("minio-admin");
    return s3(keys["root-user"]!, keys["root-password"]!);
  };

  it.each(buckets)("lets the platform's user write, read, list and delete in %s", async (bucket) => {
    const client = await platform();
    await client.putObject(bucket, "proof", "kept");
    expect(await read(client, bucket, "proof")).toBe("kept");
    const found: unknown[] = await client.listObjects(bucket).toArray();
    expect(found.map((object) => (object as { name: string }).name)).toContain("proof");
    await client.removeObject(bucket, "proof");
  });

  it("grants it no other bucket", async () => {
    const root = await admin();
    if (!(await root.bucketExists("private"))) await root.makeBucket("private");
    await root.putObject("private", "proof", "hidden");
    const client = await platform();
    await expect(read(client, "private", "proof")).rejects.toThrow(/Access Denied/);
    await expect(client.putObject("private", "mine", "x")).rejects.toThrow(/Access Denied/);
    await expect(client.makeBucket("another")).rejects.toThrow(/Access Denied/);
    await expect(client.setBucketPolicy("lakehouse", "{}")).rejects.toThrow(/Access Denied/);
    expect((await client.listBuckets()).map(({ name }) => name).sort()).toEqual([...buckets].sort());
  });

  it("refuses a wrong key", async () => {
    const client = await s3("platform", "wrong-wrong-wrong");
    await expect(client.listBuckets()).rejects.toThrow(/signature/i);
  });
});

describe("the deletion of a pod", () => {
  it("loses no row, no key and no object", async () => {
    const { password = "" } = await secret("postgresql-user-mlflow");
    await query("mlflow", password, "CREATE TABLE IF NOT EXISTS kept (word text)");
    await query("mlflow", password, "TRUNCATE kept");
    await query("mlflow", password, "INSERT INTO kept VALUES ('row')");
    const before = await redis((await secret("redis-admin")).password);
    await before.set("kept", "key");
    before.disconnect();
    const keys = await secret("minio-platform");
    await (await s3(keys["access-key"]!, keys["secret-key"]!)).putObject("mlflow", "kept", "object");

    await Promise.all(["postgresql-0", "redis-0", "minio-0"].map((pod) => replacePod(pod)));
    await reachable();

    expect(await query("mlflow", password, "SELECT word FROM kept")).toEqual([{ word: "row" }]);
    const after = await redis((await secret("redis-admin")).password);
    expect(await after.get("kept")).toBe("key");
    after.disconnect();
    expect(await read(await s3(keys["access-key"]!, keys["secret-key"]!), "mlflow", "kept")).toBe("object");
  });
});

describe("Pod Security", () => {
  it("refuses a privileged pod in every namespace of the stack", async () => {
    const pod = (namespace: string) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "harmful", namespace },
      spec: { containers: [{ name: "web", image: "busybox:1.36", securityContext: { privileged: true } }] },
    });
    for (const namespace of [core, "dev-apps"])
      await expect(kube().create(pod(namespace))).rejects.toThrow(/violates PodSecurity "restricted:latest"/);
  });

  it("has no exception: every running pod has a read-only root file system", async () => {
    const running = await kube().list("v1", "Pod", core);
    const containers = running.flatMap(({ spec }) => [...(spec.initContainers ?? []), ...spec.containers]);
    expect(containers.length).toBeGreaterThan(3);
    for (const { securityContext } of containers) expect(securityContext.readOnlyRootFilesystem).toBe(true);
    expect(Object.keys(await pods()).length).toBe(running.length);
    expect((await get("Namespace", core))!.metadata.labels!["pod-security.kubernetes.io/enforce"]).toBe("restricted");
  });
});
