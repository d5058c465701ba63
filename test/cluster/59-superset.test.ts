// Proves that only the administrator can log in, that the databases are registered, and that queries on each return
// rows.
// Does not prove the pages: they need a browser.
// Exercises: superset, trino, clickhouse, postgresql, redis.
import { beforeAll, expect, it, vi } from "vitest";
import { secret, unready, whole, wholeStack } from "./kit.ts";
import { admin, asAdmin, ask, databases, execute, logIn, login } from "./superset.ts";

beforeAll(async () => {
  await wholeStack();
  await logIn();
});

const regions = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"].map((name) => ({ name }));
const regionsOfTrino = "SELECT name FROM tpch.tiny.region ORDER BY name";

it("web server, worker and beat are ready", async () => {
  expect((await unready(whole.apps)).filter((one) => one.includes(" superset"))).toEqual([]);
});

it("refuses a wrong password, and requests without a login", async () => {
  expect((await login("wrong")).status).toBe(401);
  expect((await ask("database/")).status).toBe(401);
  const { authorization: _, ...nobody } = admin;
  expect((await ask("sqllab/execute/", { database_id: 1, sql: "SELECT 1" }, nobody)).status).toBe(401);
});

it("refuses a query without a CSRF token", async () => {
  const { "x-csrftoken": _, ...without } = admin;
  expect((await ask("sqllab/execute/", { database_id: 1, sql: "SELECT 1" }, without)).status).toBe(400);
});

it("has the platform's databases, and shows none of their passwords", async () => {
  const all = await databases();
  expect(all.map(({ database_name }) => database_name).sort()).toEqual(["ClickHouse", "PostgreSQL", "Trino"]);
  const { password = "" } = await secret("postgresql-user-trino", whole.core);
  for (const { id } of all) expect(JSON.stringify(await asAdmin(`database/${id}/connection`))).not.toContain(password);
});

it("runs a query on Trino and shows its rows", async () => {
  const { status, data } = await execute("Trino", regionsOfTrino);
  expect({ status, data }).toEqual({ status: "success", data: regions });
});

it("lists all of Trino's catalogs", async () => {
  const { data } = await execute("Trino", "SHOW CATALOGS");
  const catalogs = (data as { Catalog: string }[]).map(({ Catalog }) => Catalog);
  expect(catalogs).toEqual(expect.arrayContaining(["iceberg", "postgresql", "tpch"]));
});

it("runs a query in a worker, and fetches the result", async () => {
  const { query } = await execute("Trino", regionsOfTrino, true);
  const results = await vi.waitFor(
    async () => {
      const { result } = await asAdmin(`query/${query.queryId}`);
      if (result.status === "failed") return result;
      if (result.status !== "success") throw new Error(`the query is ${result.status}`);
      return result;
    },
    { timeout: 60_000, interval: 500 },
  );
  expect(results).toMatchObject({ status: "success", rows: regions.length });
  const { data } = await asAdmin(`sqllab/results/?q=(key:'${results.results_key}')`);
  expect(data).toEqual(regions);
});

it("runs a query on PostgreSQL as the configured user", async () => {
  const { data } = await execute(
    "PostgreSQL",
    "SELECT catalog_name AS name FROM information_schema.information_schema_catalog_name",
  );
  expect(data).toEqual([{ name: "trino" }]);
});

it("runs a query on ClickHouse", async () => {
  const { data } = await execute("ClickHouse", "SELECT number FROM system.numbers LIMIT 3");
  expect(data).toEqual([{ number: 0 }, { number: 1 }, { number: 2 }]);
});

it("reports why a query failed", async () => {
  await expect(execute("Trino", "SELECT * FROM tpch.tiny.nowhere")).rejects.toThrow(/nowhere/);
});
