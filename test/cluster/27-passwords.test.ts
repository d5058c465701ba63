// Proves that passwords with every printable character work for real clients, and that one a server cannot take is
// refused.
// Does not prove this for Trino, Grafana and git.
// Exercises: postgresql, redis, minio, clickhouse, airflow, superset, web-app.
import { randomInt } from "node:crypto";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { address, fileOfComponents, get, kube, mustRun, query, ready, roomFor, s3 } from "./kit.ts";

const [core, apps] = ["dev-core", "dev-apps"];

/** All printable ASCII characters in random order. MinIO accepts no space at either end. */
function everyCharacter(): string {
  const left = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i));
  let password = "";
  while (left.length > 0) password += left.splice(randomInt(left.length), 1)[0];
  return password.trim() === password ? password : everyCharacter();
}

const passwords = {
  postgresql: everyCharacter(),
  redis: everyCharacter(),
  minio: everyCharacter(),
  clickhouse: everyCharacter(),
  airflow: everyCharacter(),
  superset: everyCharacter(),
  webApp: everyCharacter(),
};
type Component = keyof typeof passwords;

/** Keys that a component's Secret needs beside the password. */
const others: Partial<Record<Component, Record<string, string>>> = {
  minio: { "root-user": "root\n" },
  clickhouse: { username: "platform\n" },
};
const readIn = (component: Component) =>
  component === "redis" ? [core, apps] : component === "postgresql" || component === "minio" ? [core] : [apps];
const nameOf = (component: Component) => `mine-${component.toLowerCase()}`;

const keep = (component: Component, password: string) =>
  Promise.all(
    readIn(component).map((namespace) =>
      kube().apply({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: nameOf(component), namespace },
        stringData: { ...others[component], [component === "minio" ? "root-password" : "password"]: password },
      }),
    ),
  );

const up = (components: Record<string, object>) =>
  mustRun(["up", "--stack", "dev", "--config-file", fileOfComponents(components)]);

beforeAll(async () => {
  await roomFor(undefined);
  // Creates the namespaces for the Secrets.
  await up({});
  for (const component of Object.keys(passwords) as Component[]) await keep(component, `${passwords[component]}\n`);
  const using = (Object.keys(passwords) as Component[]).map((component) => [
    component,
    { enabled: true, auth: { existingSecret: nameOf(component) } },
  ]);
  await up(Object.fromEntries(using));
});

afterAll(() => mustRun(["destroy", "--stack", "dev"]));

const pings = async (service: string, namespace: string, password: string): Promise<string> => {
  const client = new Redis({
    host: await address(service, namespace),
    password,
    lazyConnect: true,
    retryStrategy: () => null,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    return await client.ping();
  } catch {
    return "refused";
  } finally {
    client.disconnect();
  }
};

const login = async (service: string, port: number, path: string, body: object) =>
  (
    await fetch(`http://${await address(service, apps)}:${port}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    })
  ).status;

describe("a password of every printable character opens", () => {
  it("PostgreSQL", async () => {
    expect(await query("postgres", passwords.postgresql, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  it("Redis, with and without the Secret's line end", async () => {
    const of = (password: string) => pings("redis", core, password);
    expect(await of(passwords.redis)).toBe("PONG");
    expect(await of(`${passwords.redis}\n`)).toBe("PONG");
    expect(await of(passwords.webApp)).toBe("refused");
  });

  it("MinIO, with its buckets", async () => {
    const buckets = await (await s3("root", passwords.minio)).listBuckets();
    expect(buckets.map(({ name }) => name)).toEqual(expect.arrayContaining(["airflow", "lakehouse"]));
  });

  it("ClickHouse", async () => {
    const url = `http://${await address("clickhouse", apps)}:8123/?query=SELECT%201`;
    const as = (password: string) =>
      fetch(url, { headers: { authorization: `Basic ${Buffer.from(`platform:${password}`).toString("base64")}` } });
    expect(await (await as(passwords.clickhouse)).text()).toBe("1\n");
    expect((await as(passwords.redis)).ok).toBe(false);
  });

  it("Airflow, and Redis to its workers", async () => {
    const as = (password: string) => login("airflow", 8080, "/auth/token", { username: "admin", password });
    expect([await as(passwords.airflow), await as("wrong")]).toEqual([201, 401]);
  });

  it("Superset, and Redis to its workers", async () => {
    const as = (password: string) =>
      login("superset", 8088, "/api/v1/security/login", { username: "admin", password, provider: "db" });
    expect([await as(passwords.superset), await as("wrong")]).toEqual([200, 401]);
  });

  it("the web app's Redis, to a client and to the web app", async () => {
    expect(await pings("app-dev-service-redis", apps, passwords.webApp)).toBe("PONG");
    const health = await fetch(`http://${await address("app-dev-service-flask", apps)}:5000/healthz`);
    expect(health.status).toBe(200);
  });
});

describe("a password that no server accepts", () => {
  it.each(["", "two\nlines", "a\ttab"])("%j is refused, with the name of its Secret", async (password) => {
    await keep("redis", password);
    await kube().delete({ apiVersion: "v1", kind: "Pod", metadata: { name: "redis-0", namespace: core } });
    await vi.waitFor(
      async () => {
        const { containerStatuses = [] } = ((await get("Pod", "redis-0", core))?.status ?? {}) as {
          containerStatuses?: Record<"state" | "lastState", { terminated?: { message?: string } }>[];
        };
        const [container] = containerStatuses;
        const { message } = container?.state.terminated ?? container?.lastState.terminated ?? {};
        expect(message).toMatch(
          /^stack dev: Secret mine-redis, key password: expected a value of printable characters/,
        );
      },
      { timeout: 120_000, interval: 1_000 },
    );
    await keep("redis", `${passwords.redis}\n`);
    await ready("redis-0", core);
  });
});
