// Proves that a SQL job writes checkpoints to MinIO, continues after the loss of its TaskManager with exact counts, and
// fills an Iceberg table that Flink and Trino can read.
// Does not prove a state larger than the memory. The loss of a JobManager is in 26-several.test.ts.
// Exercises: flink, nessie, trino, postgresql, minio.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { address, bucketKeys, get, kube, podsOf, runIn, s3, unready, whole, wholeStack } from "./kit.ts";
import { column, sql } from "./trino.ts";

beforeAll(wholeStack);

const ask = async <T>(path: string, options: RequestInit = {}): Promise<T> => {
  const response = await fetch(`http://${await address("flink", whole.apps)}:8081${path}`, options);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
};

interface Checkpoints {
  counts: { completed: number; restored: number };
  latest: { restored: { id: number } | null };
}
const checkpoints = (job: string) => ask<Checkpoints>(`/jobs/${job}/checkpoints`);
const state = async (job: string) => (await ask<{ state: string }>(`/jobs/${job}`)).state;

const bucketClient = async () => {
  const keys = await bucketKeys("flink", whole.core);
  return s3(keys.accessKey, keys.secretKey, await address("minio", whole.core));
};

const objects = async (prefix: string): Promise<string[]> => {
  const found: unknown[] = await (await bucketClient()).listObjects("flink", prefix, true).toArray();
  return found.map((object) => (object as { name: string }).name);
};

/** Counts and sums twenty numbers a second. The TaskManager prints each sum. */
const last = 1_200;
const job = `
SET 'pipeline.name' = 'proof';
SET 'parallelism.default' = '1';
SET 'execution.checkpointing.interval' = '1s';
CREATE TEMPORARY TABLE numbers (n BIGINT) WITH (
  'connector' = 'datagen', 'rows-per-second' = '20',
  'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '${last}');
CREATE TEMPORARY TABLE sums (numbers BIGINT, total BIGINT) WITH ('connector' = 'print', 'print-identifier' = 'proof');
INSERT INTO sums SELECT COUNT(*), SUM(n) FROM numbers;
`;

let id: string;

/** Runs statements as an operator would: with the SQL client in the JobManager's container, with little memory. */
async function say(statements: string): Promise<string> {
  const [pod = ""] = await podsOf("flink", "jobmanager", whole.apps);
  const script =
    'printf %s "$1" > /tmp/proof.sql; JVM_ARGS="-Xmx128m -Duser.home=/tmp" /opt/flink/bin/sql-client.sh -f /tmp/proof.sql';
  return runIn(pod, whole.apps, "jobmanager", ["bash", "-c", script, "say", statements]);
}

async function submit(): Promise<string> {
  const said = await say(job);
  const found = /Job ID: ([0-9a-f]{32})/.exec(said);
  if (!found) throw new Error(said);
  return found[1]!;
}

afterAll(async () => {
  // Ends jobs that a failed test left.
  if (id && !["FINISHED", "CANCELED", "FAILED"].includes(await state(id)))
    await ask(`/jobs/${id}`, { method: "PATCH" });
});

it("has every TaskManager with its slots", async () => {
  const [replicas, slots] = await slotsAsConfigured();
  await vi.waitFor(
    async () =>
      expect(await ask("/overview")).toMatchObject({ taskmanagers: replicas, "slots-total": replicas * slots }),
    { timeout: 60_000, interval: 500 },
  );
  expect((await unready(whole.apps)).filter((one) => one.includes("flink"))).toEqual([]);
});

async function slotsAsConfigured(): Promise<[number, number]> {
  const deployments = await kube().list("apps/v1", "Deployment", whole.apps);
  const { spec } = deployments.find(({ metadata }) => metadata.name === "flink-taskmanager")!;
  const { data } = (await get("ConfigMap", "flink-taskmanager", whole.apps)) as unknown as {
    data: { "config.yaml": string };
  };
  return [spec.replicas, Number(/numberOfTaskSlots: (\d+)/.exec(data["config.yaml"])![1])];
}

it("runs a SQL job with its checkpoints in MinIO", { timeout: 180_000 }, async () => {
  id = await submit();
  await vi.waitFor(async () => expect((await checkpoints(id)).counts.completed).toBeGreaterThan(2), {
    timeout: 60_000,
    interval: 250,
  });
  // A new checkpoint replaces the previous one: a listing may find neither.
  await vi.waitFor(
    async () =>
      expect(await objects(`checkpoints/${id}/`)).toContainEqual(expect.stringMatching(/chk-\d+\/_metadata$/)),
    { timeout: 10_000, interval: 250 },
  );
});

it("writes a savepoint to MinIO on request", { timeout: 120_000 }, async () => {
  const body = JSON.stringify({ "cancel-job": false });
  const headers = { "content-type": "application/json" };
  const asked = await ask<{ "request-id": string }>(`/jobs/${id}/savepoints`, { method: "POST", headers, body });
  const location = await vi.waitFor(
    async () => {
      const { status, operation } = await ask<{ status: { id: string }; operation?: { location?: string } }>(
        `/jobs/${id}/savepoints/${asked["request-id"]}`,
      );
      if (status.id !== "COMPLETED" || !operation?.location) throw new Error(JSON.stringify({ status, operation }));
      return operation.location;
    },
    { timeout: 30_000, interval: 250 },
  );
  expect(location).toMatch(/^s3:\/\/flink\/savepoints\//);
  expect(await objects(location.replace("s3://flink/", ""))).toContainEqual(expect.stringMatching(/_metadata$/));
});

it("continues from a checkpoint after the deletion of its TaskManager", { timeout: 300_000 }, async () => {
  const pods = await podsOf("flink", "taskmanager", whole.apps);
  expect(await state(id)).toBe("RUNNING");
  for (const name of pods)
    await kube().delete({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: whole.apps } });

  await vi.waitFor(
    async () => {
      const { counts, latest } = await checkpoints(id);
      expect(counts.restored).toBeGreaterThan(0);
      expect(latest.restored!.id).toBeGreaterThan(0);
    },
    { timeout: 120_000, interval: 250 },
  );
  await vi.waitFor(async () => expect(await state(id)).toBe("FINISHED"), { timeout: 120_000, interval: 500 });

  const printed = await sums();
  // The new pods do not start at the first sum: the count was restored from the checkpoint.
  expect(printed[0]!.numbers).toBeGreaterThan(1);
  expect(printed.at(-1)).toEqual({ numbers: last, total: (last * (last + 1)) / 2 });
});

/** The output of the running TaskManagers. */
async function sums(): Promise<{ numbers: number; total: number }[]> {
  const logs = await Promise.all(
    (await podsOf("flink", "taskmanager", whole.apps)).map((name) =>
      kube().log(
        { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: whole.apps } },
        { container: "taskmanager", lines: 10_000 },
      ),
    ),
  );
  return logs.flatMap((log) =>
    [...log.matchAll(/^proof> \+[IU]\[(\d+), (\d+)\]$/gm)].map(([, numbers, total]) => ({
      numbers: Number(numbers),
      total: Number(total),
    })),
  );
}

it("streams into an Iceberg table in MinIO that it and Trino read", { timeout: 300_000 }, async () => {
  const schema = `flink_${randomBytes(4).toString("hex")}`;
  const table = `lakehouse.${schema}.numbers`;
  const count = 60;
  const said = await say(`
SET 'parallelism.default' = '1';
SET 'table.dml-sync' = 'true';
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'execution.checkpointing.interval' = '1s';
CREATE DATABASE lakehouse.${schema};
CREATE TABLE ${table} (n BIGINT);
CREATE TEMPORARY TABLE source (n BIGINT) WITH (
  'connector' = 'datagen', 'rows-per-second' = '20',
  'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '${count}');
INSERT INTO ${table} SELECT n FROM source;
SET 'execution.runtime-mode' = 'batch';
SELECT COUNT(*) AS numbers, SUM(n) AS total FROM ${table};
`);
  const sum = (count * (count + 1)) / 2;
  expect(said).toMatch(new RegExp(`\\| +${count} \\| +${sum} \\|`));

  expect(await sql(`SELECT count(*), sum(n) FROM iceberg.${schema}.numbers`)).toEqual([[count, sum]]);
  const files = await column(`SELECT file_path FROM iceberg.${schema}."numbers$files"`);
  expect(files).not.toEqual([]);
  const client = await bucketClient();
  for (const file of files)
    expect((await client.statObject("lakehouse", String(file).replace("s3://lakehouse/", ""))).size).toBeGreaterThan(0);

  await sql(`DROP TABLE iceberg.${schema}.numbers`);
  await sql(`DROP SCHEMA iceberg.${schema}`);
});
