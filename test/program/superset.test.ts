// Proves for Superset's manifests: what a change rolls, no password in a file, and which databases each stack
// registers.
// Does not prove that the software starts with them: the cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { seeded } from "../../render/evaluate.ts";
import { changed, type Evaluated, evaluated } from "./stacks.ts";

/** With realistic passwords, the same in every run. */
const render = (changes = "{}", stack = "test") => evaluated(stack, { changes, random: seeded("a test's seed") });

const find = ({ objects }: Evaluated, kind: string, name: string): KubernetesObject =>
  objects.find((one) => one.kind === kind && one.metadata.name.replace(/-[0-9a-f]{8}$/, "") === name)!;

// biome-ignore lint/suspicious/noExplicitAny: an object's fields as plain data
const container = (object: any) => object.spec.template.spec.containers[0];

describe("a change", () => {
  let before: Evaluated;
  beforeAll(async () => {
    before = await render();
  });

  it("of the number of processes rolls only the web server", async () => {
    expect(changed(before, await render("superset: { web: { workers: 3 } }"))).toEqual([
      "ConfigMap superset-gunicorn",
      "Deployment superset",
    ]);
  });

  it("of the rotation gives the administrator a new password and rolls no pod; the key stays", async () => {
    expect(changed(before, await render("superset: { auth: { rotation: 2 } }"))).toEqual([
      "Job superset-setup-#",
      "Secret superset-admin",
    ]);
  });

  it("of PostgreSQL's passwords registers the new ones and rolls the pods that use them", async () => {
    const all = changed(before, await render("postgresql: { auth: { rotation: 2 } }"));
    expect(all.filter((one) => one.includes(" superset"))).toEqual([
      "Deployment superset",
      "Deployment superset-beat",
      "Deployment superset-worker",
      "Job superset-databases-#",
      "Job superset-setup-#",
    ]);
  });

  it("of Redis' password rolls the pods that use it", async () => {
    const all = changed(before, await render("redis: { auth: { rotation: 2 } }"));
    expect(all).toEqual(
      expect.arrayContaining(["Deployment superset", "Deployment superset-beat", "Deployment superset-worker"]),
    );
  });
});

describe("the databases", () => {
  const registered = (program: Evaluated) =>
    JSON.parse(find(program, "ConfigMap", "superset-databases").data["databases.json"]) as {
      name: string;
      host: string;
    }[];

  it("are those of the stack", async () => {
    const names = async (changes?: string) => registered(await render(changes)).map(({ name }) => name);
    expect(await names()).toEqual(["Trino", "ClickHouse", "PostgreSQL"]);
    expect(await names("clickhouse: { enabled: false }")).toEqual(["Trino", "PostgreSQL"]);
    expect(await names("trino: { enabled: false }")).toEqual(["ClickHouse", "PostgreSQL"]);
  });

  it("have their passwords in the Job's environment, by reference", async () => {
    const program = await render();
    const { env } = container(find(program, "Job", "superset-databases")) as {
      env: { name: string; value?: string }[];
    };
    const secrets = env.filter(({ name }) => /PASSWORD|SECRET|USERNAME/.test(name));
    expect(secrets.map(({ name }) => name).sort()).toEqual([
      "CACHE_PASSWORD",
      "CLICKHOUSE_PASSWORD",
      "CLICKHOUSE_USERNAME",
      "DATABASE_PASSWORD",
      "DATABASE_USERNAME",
      "POSTGRESQL_PASSWORD",
      "POSTGRESQL_USERNAME",
      "QUEUE_PASSWORD",
      "SUPERSET_SECRET_KEY",
    ]);
    for (const { value } of secrets) expect(value).toBeUndefined();
  });

  it("give their credentials only to the Job that registers them", async () => {
    const program = await render();
    for (const name of ["superset", "superset-worker", "superset-beat"]) {
      const { env } = container(find(program, "Deployment", name)) as { env: { name: string }[] };
      expect(env.map((one) => one.name)).not.toContain("POSTGRESQL_PASSWORD");
      expect(env.map((one) => one.name)).not.toContain("ADMIN_PASSWORD");
    }
  });
});

it("cache and queue are two databases of Redis", async () => {
  const config = find(await render(), "ConfigMap", "superset-config").data["superset_config.py"] as string;
  expect(config).toMatch(/CACHE_REDIS_URL = .*:6379\/2"/);
  expect(config).toMatch(/QUEUE_REDIS_URL = .*:6379\/3"/);
});

it("prod has two web servers, evicted one at a time, and one beat", async () => {
  const program = await render("{}", "prod");
  const replicas = (name: string) => find(program, "Deployment", name).spec.replicas;
  expect([replicas("superset"), replicas("superset-beat")]).toEqual([2, 1]);
  expect(find(program, "PodDisruptionBudget", "superset")).toBeDefined();
});

it("every cache entry expires, so that a full Redis evicts it and not a queue", async () => {
  const program = await render();
  const files = find(program, "ConfigMap", "superset-config").data as Record<string, string>;
  const config = String(files["superset_config.py"]);
  // The classes of Flask's caches and of SQL Lab's results store every entry with an expiry.
  expect([...config.matchAll(/"CACHE_TYPE": "(.*)"/g)].map(([, type]) => type)).toEqual(["expiring.RedisCache"]);
  expect(config).toMatch(/^RESULTS_BACKEND = Results\(/m);
  const redis = find(program, "ConfigMap", "redis-config").data["redis.conf"] as string;
  expect(redis).toMatch(/^maxmemory-policy volatile-lru$/m);
});

it("the web app's Redis evicts nothing: its expiring results are data too", async () => {
  const redis = find(await render(), "ConfigMap", "app-test-config-redis").data["redis.conf"] as string;
  expect(redis).toMatch(/^maxmemory-policy noeviction$/m);
});

it("the stack's lines of Python come last in the configuration, and roll every process", async () => {
  const own = 'FEATURE_FLAGS = {"ALERT_REPORTS": True}\nSQL_MAX_ROW = 1000\n';
  const after = await render(`superset: { config: ${JSON.stringify(own)} }`);
  const file = find(after, "ConfigMap", "superset-config").data["superset_config.py"] as string;
  expect(file.endsWith(`\n\n\n# The stack's own settings.\n${own}`)).toBe(true);
  expect(changed(await render(), after)).toEqual([
    "ConfigMap superset-config",
    "Deployment superset",
    "Deployment superset-beat",
    "Deployment superset-worker",
    "Job superset-databases-#",
    "Job superset-setup-#",
  ]);
});
