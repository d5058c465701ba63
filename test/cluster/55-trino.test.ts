// Proves that Trino creates an Iceberg table over Nessie and MinIO, joins it with PostgreSQL, and drains a deleted
// worker.
// Does not prove the loss of a worker that cannot finish, a query larger than the memory, Kafka topics with messages,
// nor ClickHouse's tables if its server is too old for Trino's driver.
// Exercises: trino, nessie, postgresql, minio, kafka, clickhouse.
import { randomBytes } from "node:crypto";
import { beforeAll, expect, it, vi } from "vitest";
import { address, bucketKeys, get, kube, s3, unready, whole, wholeStack } from "./kit.ts";
import { column, rows, sql, start, tasks } from "./trino.ts";

beforeAll(wholeStack);

const workers = async () =>
  (await kube().list("v1", "Pod", whole.apps))
    .filter(({ metadata }) => metadata.name.startsWith("trino-worker-"))
    .map(({ metadata }) => metadata.name)
    .sort();

it("has its workers, and a coordinator that runs no tasks", async () => {
  const nodes = "SELECT node_id FROM system.runtime.nodes WHERE state = 'active' AND NOT coordinator ORDER BY node_id";
  await vi.waitFor(async () => expect(await column(nodes)).toEqual(await workers()), { timeout: 30_000 });
  expect(await workers()).toHaveLength(2);
  expect(await sql("SELECT count(*) FROM tpch.tiny.nation")).toEqual([[25]]);
});

it("answers forwarded requests with the proxy's address", async () => {
  const forwarded = {
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "trino.example.com",
  };
  const url = `http://${await address("trino", whole.apps)}:8080`;
  expect((await fetch(`${url}/v1/info`, { headers: forwarded })).status).toBe(200);
  const headers = { ...forwarded, "X-Trino-User": "proof" };
  const begun = await fetch(`${url}/v1/statement`, { method: "POST", body: "SELECT 1", headers });
  expect(((await begun.json()) as { nextUri: string }).nextUri).toMatch(/^https:\/\/trino\.example\.com\//);
});

it("lists a catalog for each enabled component", async () => {
  const { data } = (await get("ConfigMap", "trino-catalogs", whole.apps)) as unknown as { data: object };
  const catalogs = Object.keys(data).map((file) => file.replace(".properties", ""));
  expect(catalogs).toEqual(expect.arrayContaining(["iceberg", "postgresql", "tpch"]));
  expect(await column("SHOW CATALOGS")).toEqual([...catalogs, "system"].sort());
});

it("joins an Iceberg table in MinIO with a table of PostgreSQL", async () => {
  const schema = `proof_${randomBytes(4).toString("hex")}`;
  await sql(`CREATE SCHEMA iceberg.${schema}`);
  await sql(`CREATE TABLE iceberg.${schema}.orders (id integer, customer integer, price decimal(10, 2))`);
  await sql(`INSERT INTO iceberg.${schema}.orders VALUES (1, 1, 10.50), (2, 1, 4.50), (3, 2, 7.00)`);
  await sql(`CREATE TABLE postgresql.public.${schema} AS SELECT 1 AS id, CAST('Ada' AS varchar) AS name`);
  expect(
    await sql(`SELECT c.name, sum(o.price) FROM iceberg.${schema}.orders o
      JOIN postgresql.public.${schema} c ON c.id = o.customer GROUP BY c.name`),
  ).toEqual([["Ada", "15.00"]]);

  const files = await column(`SELECT file_path FROM iceberg.${schema}."orders$files"`);
  const keys = await bucketKeys("trino", whole.core);
  const client = await s3(keys.accessKey, keys.secretKey, await address("minio", whole.core));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files)
    expect((await client.statObject("lakehouse", String(file).replace("s3://lakehouse/", ""))).size).toBeGreaterThan(0);

  await sql(`DROP TABLE iceberg.${schema}.orders`);
  await sql(`DROP SCHEMA iceberg.${schema}`);
  await sql(`DROP TABLE postgresql.public.${schema}`);
});

it("allows a worker to be shut down only from its own pod", async () => {
  const [name] = await workers();
  const { podIP } = (await get("Pod", name!, whole.apps))!.status as { podIP: string };
  const response = await fetch(`http://${podIP}:8080/v1/info/state`, {
    method: "PUT",
    body: '"SHUTTING_DOWN"',
    headers: { "Content-Type": "application/json", "X-Trino-User": "admin" },
  });
  expect(response.status).toBe(403);
});

it("finishes a query on a worker whose pod is deleted, and only then ends the pod", {
  timeout: 600_000,
}, async () => {
  const [name] = await workers();
  // A full scan with a known count, slow enough to be interrupted. It takes less than half of a worker's drain timeout,
  // and both workers finish their halves at about the same time.
  const running = await start("SELECT count(*), count_if(length(comment) > 0) FROM tpch.sf5.lineitem");
  const result = rows(running);
  // Prevents an unhandled rejection: an error is thrown where the result is awaited.
  result.catch(() => {});
  const stillRuns = async () => expect(await tasks(running.id, name!)).toContain("RUNNING");

  await vi.waitFor(stillRuns, { timeout: 60_000 });
  await kube().delete({ apiVersion: "v1", kind: "Pod", metadata: { name: name!, namespace: whole.apps } });
  const state = `SELECT state FROM system.runtime.nodes WHERE node_id = '${name}'`;
  await vi.waitFor(async () => expect(await column(state)).toEqual(["shutting_down"]), { timeout: 60_000 });
  await stillRuns();

  expect(await result).toEqual([[29_999_795, 29_999_795]]);
  const leaving = await get("Pod", name!, whole.apps);
  expect(leaving?.metadata.deletionTimestamp).toBeDefined();
  expect(leaving?.status?.containerStatuses[0].state.running).toBeDefined();

  const gone = async () => expect(await get("Pod", name!, whole.apps)).toBeUndefined();
  await vi.waitFor(gone, { timeout: 90_000, interval: 500 });
  await vi.waitFor(async () => expect(await unready(whole.apps)).toEqual([]), { timeout: 180_000, interval: 1_000 });
});
