// Proves that PostgreSQL's clients are configured with the pools and threads that components/postgresql/connections.ts
// counts.
// Does not prove that the software keeps to them.
import { beforeAll, describe, expect, it } from "vitest";
import { type Evaluated, evaluated, named } from "./stacks.ts";

let program: Evaluated;
beforeAll(async () => {
  program = await evaluated("test");
});

const file = (map: string, name: string): string => named(program, "ConfigMap", map).data[name];
const container = (kind: string, name: string) => named(program, kind, name).spec.template.spec.containers[0];

describe("the counted pools", () => {
  it("of Nessie", () => {
    expect(file("nessie-config", "application.properties")).toContain(
      "\nquarkus.datasource.postgresql.jdbc.max-size=10\n",
    );
  });

  it("of Airflow, whose workers keep no connection open for results", () => {
    const config = file("airflow-config", "airflow.cfg");
    expect(config).toContain("\n[database]\nsql_alchemy_pool_size = 5\nsql_alchemy_max_overflow = 10\n");
    const server = container("Deployment", "airflow-api-server").env;
    expect(server).toContainEqual({ name: "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW", value: "17" });
    expect(config).toContain("\ncelery_config_options = celery_config.CELERY_CONFIG\n");
    expect(file("airflow-config", "celery_config.py")).toContain('{"poolclass": NullPool}');
  });

  it("of Superset", () => {
    expect(file("superset-gunicorn", "gunicorn.conf.py")).toContain("\nthreads = 8\n");
    const { args } = container("Deployment", "superset-worker");
    expect(args[args.indexOf("--concurrency") + 1]).toBe("2");
  });

  it("of Django applications", () => {
    expect(container("Deployment", "polls").args).toContain("--threads=4");
  });

  it("of NoETL", () => {
    const { env } = container("StatefulSet", "noetl");
    expect(env).toContainEqual({ name: "NOETL_POSTGRES_POOL_MAX_SIZE", value: "16" });
    expect(env).toContainEqual({ name: "NOETL_BG_POOL_MAX_SIZE", value: "4" });
  });
});
