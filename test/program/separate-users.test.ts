// Proves that with `global.separateUsers` each client of Redis and ClickHouse has a user of its own, that its password is in
// that client's pods alone, and what each user may do; and that caches of Redis can have a server of their own.
// Does not prove that the servers enforce it: the cluster tests do. MinIO's users: minio.test.ts.
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { containersOf, type KubernetesObject, podOf } from "../../policy/rules/index.ts";
import { type Evaluated, evaluated, named } from "./stacks.ts";

let program: Evaluated;
beforeAll(async () => {
  program = await evaluated("test", {
    changes: "global: { separateUsers: true }\nredis: { cache: { enabled: true } }\nmonitoring: { enabled: true }",
  });
});

/** The Secrets that match, which the pods of each component read. */
function readers(pattern: RegExp): Record<string, string[]> {
  const found = new Map<string, Set<string>>();
  for (const object of program.objects) {
    const pod = podOf(object);
    for (const { env = [] } of pod ? containersOf(pod.spec) : [])
      for (const { valueFrom } of env) {
        const name: string = valueFrom?.secretKeyRef?.name ?? "";
        if (!pattern.test(name)) continue;
        const component = object.metadata.labels?.["app.kubernetes.io/name"] ?? "";
        found.set(name, (found.get(name) ?? new Set()).add(component));
      }
  }
  return Object.fromEntries([...found].map(([name, components]) => [name, [...components].sort()]));
}

const script = (workload: KubernetesObject): string => workload.spec.template.spec.containers[0].command.at(-1);

/** The users that the start script of a Redis server writes, with their rules. */
function redisUsers(name: string): Record<string, string> {
  const workload = named(program, "StatefulSet", name);
  const file = join(mkdtempSync(join(tmpdir(), "redis-")), "auth.conf");
  const commands = script(workload)
    .replace("/run/redis/auth.conf", file)
    .replace(/exec redis-server.*/, `cat ${file}`);
  const env: { name: string }[] = workload.spec.template.spec.containers[0].env;
  const values = Object.fromEntries(env.map(({ name }) => [name, `value-of-${name}`]));
  const { stdout } = spawnSync("sh", ["-eu", "-c", commands], {
    env: { PATH: "/usr/bin:/bin", ...values },
    encoding: "utf8",
  });
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => /^user (\S+) on ((?:#[0-9a-f]{64} )+)(.*)$/.exec(line));
  return Object.fromEntries(lines.map((match) => [match?.[1], match?.[3]]));
}

describe("Redis", () => {
  it("gives each password to its client alone", () => {
    expect(readers(/^redis-/)).toEqual({
      "redis-admin": ["redis"],
      "redis-user-airflow": ["airflow", "redis"],
      "redis-user-superset-cache": ["redis", "superset"],
      "redis-user-superset-queue": ["redis", "superset"],
      "redis-user-monitoring": ["exporters", "redis"],
    });
  });

  it("limits each user to its logical database, and monitoring to statistics", () => {
    const client = (database: number) =>
      `~* &* +@all -@admin -@dangerous +info +keys -move -copy -select +select|${database}`;
    const monitoring = expect.stringMatching(/^~\* &\* -@all \+@connection -@admin -@dangerous \+info .* \+select\|0$/);
    expect(redisUsers("redis")).toEqual({
      default: "~* &* +@all",
      monitoring,
      airflow: client(1),
      "superset-queue": client(3),
    });
    expect(redisUsers("redis-cache")).toEqual({ default: "~* &* +@all", monitoring, "superset-cache": client(2) });
  });

  it("is used by these names", () => {
    const text = (name: string) => JSON.stringify(named(program, "ConfigMap", name).data);
    expect(text("airflow-config")).toContain("redis://airflow:{password}@redis.test-core.svc:6379/1");
    expect(text("superset-config")).toContain(
      "redis://superset-queue:{quoted('QUEUE_PASSWORD')}@redis.test-core.svc:6379/3",
    );
    expect(text("superset-config")).toContain(
      "redis://superset-cache:{quoted('CACHE_PASSWORD')}@redis-cache.test-core.svc:6379/2",
    );
    expect(text("superset-config")).toContain('username=\\"superset-cache\\"');
  });

  it("keeps caches from queues: a full cache drops keys, a full queue drops none", () => {
    const policy = (name: string) =>
      /maxmemory-policy (.*)/.exec(named(program, "ConfigMap", name).data?.["redis.conf"])?.[1];
    expect(policy("redis-cache-config")).toBe("allkeys-lru");
    expect(policy("redis-config")).toBe("noeviction");
  });
});

describe("ClickHouse", () => {
  it("gives each password to its client alone", () => {
    expect(readers(/^clickhouse-/)).toEqual({
      "clickhouse-admin": ["clickhouse"],
      "clickhouse-user-trino": ["clickhouse", "trino"],
      "clickhouse-user-superset": ["clickhouse", "superset"],
    });
  });

  it("lets no client administer it, and Superset write nothing", () => {
    const users: string = named(program, "ConfigMap", "clickhouse-config").data?.["users.xml"];
    const block = (name: string) => new RegExp(`<${name}>\\s*<password.*?</${name}>`, "s").exec(users)?.[0] ?? "";
    for (const name of ["trino", "superset"]) {
      expect(block(name)).toContain("<access_management>0</access_management>");
      expect(block(name)).toContain(`from_env="PASSWORD_${name.toUpperCase()}_SHA256"`);
    }
    expect(block("superset")).toContain("<query>GRANT SELECT, SHOW ON *.*</query>");
    expect(users).toContain("<superset><profile>default</profile><readonly>2</readonly></superset>");
    expect(script(named(program, "StatefulSet", "clickhouse"))).toContain("unset PASSWORD_TRINO\n");
  });
});

it("shares one user of each server by default", async () => {
  program = await evaluated("test", { changes: "monitoring: { enabled: true }" });
  expect(readers(/^(redis|clickhouse|minio)-user-/)).toEqual({});
});
