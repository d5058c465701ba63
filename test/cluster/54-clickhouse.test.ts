// Proves that ClickHouse keeps its tables when its pod is deleted, and serves its one user over HTTP and nobody else.
// Does not prove several servers. If no image registry is reachable, the server is of 2018: metrics on port 9363, users
// created by SQL, the memory limit and disabled crash reports are then not proven.
// Exercises: clickhouse.
import { beforeAll, expect, it, vi } from "vitest";
import { address, get, replacePod, secret, whole, wholeStack } from "./kit.ts";

beforeAll(wholeStack);

interface Login {
  user?: string;
  password?: string;
}

const platform = async (): Promise<Login> => {
  const { username, password } = await secret("clickhouse-admin", whole.apps);
  return { user: username, password };
};

/** Runs one statement over HTTP. Returns the status and body of the response. */
async function send(statement: string, { user, password }: Login) {
  const response = await fetch(`http://${await address("clickhouse", whole.apps)}:8123/`, {
    method: "POST",
    body: statement,
    headers: { ...(user && { "X-ClickHouse-User": user }), ...(password && { "X-ClickHouse-Key": password }) },
  });
  return { ok: response.ok, text: (await response.text()).trim() };
}

/** Runs one statement as the platform's user. Fails if it does. */
async function sql(statement: string): Promise<string> {
  const { ok, text } = await send(statement, await platform());
  if (!ok) throw new Error(text);
  return text;
}

const table = "CREATE TABLE proof (day Date, word String) ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY word";

it("keeps rows, also when its pod is deleted", async () => {
  await sql("DROP TABLE IF EXISTS proof");
  await sql(table);
  await sql("INSERT INTO proof VALUES ('2026-01-01', 'one'), ('2026-02-01', 'two')");
  expect(await sql("SELECT count(), max(word) FROM proof")).toBe("2\ttwo");

  await replacePod("clickhouse-0", whole.apps);

  // kube-proxy's rules follow a pod's readiness with a delay.
  const words = () => sql("SELECT word FROM proof ORDER BY word");
  await vi.waitFor(async () => expect(await words()).toBe("one\ntwo"), { timeout: 30_000, interval: 200 });
  await sql("DROP TABLE proof");
});

it.each<[string, () => Promise<Login>]>([
  ["a wrong password", async () => ({ ...(await platform()), password: "wrong" })],
  ["no password", async () => ({ user: "platform" })],
  ["the user default", async () => ({ user: "default" })],
  ["nobody", async () => ({})],
])("refuses %s", async (_, login) => {
  const { ok, text } = await send("SELECT 1", await login());
  expect(ok).toBe(false);
  // The messages of the server of 2018, and of later ones.
  expect(text).toMatch(/Unknown user|Wrong password|REQUIRED_PASSWORD|Password required|Authentication failed/);
});

it("limits the memory of one query", async () => {
  const pod = await get("Pod", "clickhouse-0", whole.apps);
  const limit = Number.parseInt(pod!.spec.containers[0].resources.limits.memory, 10) * 1024 ** 3;
  const setting = await sql("SELECT value FROM system.settings WHERE name = 'max_memory_usage'");
  expect(Number(setting)).toBeLessThan(limit * 0.61);
  expect(await send("SELECT groupArray(number) FROM numbers(1000000000)", await platform())).toMatchObject({
    ok: false,
    text: expect.stringContaining("emory limit"),
  });
});
