// Proves which workloads and Jobs each workload of `test` waits for, by the dependencies of its resources.
// It does not prove how long that takes: `./platform up` shows it.
import { expect, it } from "vitest";
import type { Evaluation, Resource } from "../../render/evaluate.ts";
import { evaluated } from "./stacks.ts";

/** Resources that the engine awaits until their pods are ready or done. All others are ready once they are created. */
const takesTime = ({ type, inputs }: Resource): boolean => {
  const { metadata } = inputs as { metadata?: { annotations?: Record<string, string> } };
  if (metadata?.annotations?.["pulumi.com/skipAwait"] === "true") return false;
  return /:(Deployment|StatefulSet|Job|Service)$/.test(type);
};

/** The resources that each one waits for directly, also through resources that take no time. */
function waits({ resources }: Evaluation): Record<string, string[]> {
  const byUrn = new Map(resources.map((one) => [one.urn, one]));
  const title = ({ type, name }: Resource) => `${type.split(":").at(-1)} ${name}`;
  const seen = new Map<Resource, Set<string>>();
  const before = (one: Resource): Set<string> => {
    const known = seen.get(one);
    if (known) return known;
    const found = new Set<string>();
    seen.set(one, found);
    for (const urn of one.options.dependencies) {
      const other = byUrn.get(urn);
      if (!other) continue;
      if (takesTime(other)) found.add(title(other));
      else for (const further of before(other)) found.add(further);
    }
    return found;
  };
  return Object.fromEntries(
    resources
      .filter(takesTime)
      .map((one): [string, string[]] => [title(one), [...before(one)].sort()])
      .sort(([a], [b]) => a.localeCompare(b)),
  );
}

/** The longest chain of resources that must be ready or complete, one after another, before this one. */
function chain(all: Record<string, string[]>, name: string): string[] {
  const chains = (all[name] ?? []).map((other) => chain(all, other));
  return [...(chains.sort((a, b) => b.length - a.length)[0] ?? []), name];
}

const monitored = async () => (await evaluated("test", { changes: "monitoring: { enabled: true }" })).evaluation;

it("nothing waits for a component that it does not need", async () => {
  expect(waits(await monitored())).toMatchInlineSnapshot(`
    {
      "Deployment airflow-api-server": [
        "Deployment exporters-statsd",
        "Job airflow-setup",
        "Job minio-buckets",
        "StatefulSet redis",
      ],
      "Deployment airflow-dag-processor": [
        "Deployment exporters-statsd",
        "Job airflow-setup",
        "Job minio-buckets",
        "StatefulSet redis",
      ],
      "Deployment airflow-scheduler": [
        "Deployment exporters-statsd",
        "Job airflow-setup",
        "Job minio-buckets",
        "StatefulSet redis",
      ],
      "Deployment airflow-triggerer": [
        "Deployment exporters-statsd",
        "Job airflow-setup",
        "Job minio-buckets",
        "StatefulSet redis",
      ],
      "Deployment airflow-worker": [
        "Deployment exporters-statsd",
        "Job airflow-setup",
        "Job minio-buckets",
        "StatefulSet redis",
      ],
      "Deployment app-test-deployment-flask": [
        "Deployment app-test-deployment-redis",
      ],
      "Deployment app-test-deployment-redis": [],
      "Deployment app-test-deployment-worker": [
        "Deployment app-test-deployment-redis",
      ],
      "Deployment deployd": [],
      "Deployment exporters-postgresql": [
        "Job postgresql-users",
      ],
      "Deployment exporters-redis": [
        "StatefulSet redis",
      ],
      "Deployment exporters-statsd": [],
      "Deployment flink-jobmanager": [
        "Job minio-buckets",
      ],
      "Deployment flink-taskmanager": [
        "Job minio-buckets",
      ],
      "Deployment nessie": [
        "Job minio-buckets",
        "Job postgresql-users",
      ],
      "Deployment polls": [
        "Job polls-migrate",
      ],
      "Deployment schema-registry": [
        "Job kafka-topics",
      ],
      "Deployment spark-master": [],
      "Deployment spark-worker": [
        "Deployment spark-master",
      ],
      "Deployment superset": [
        "Job superset-setup",
      ],
      "Deployment superset-beat": [
        "Job superset-setup",
      ],
      "Deployment superset-worker": [
        "Job superset-setup",
      ],
      "Deployment trino-coordinator": [],
      "Deployment trino-worker": [],
      "Job airflow-setup": [
        "Job postgresql-users",
        "StatefulSet redis",
      ],
      "Job kafka-topics": [
        "StatefulSet kafka",
      ],
      "Job minio-buckets": [
        "StatefulSet minio",
      ],
      "Job noetl-schema": [
        "Job postgresql-users",
      ],
      "Job polls-migrate": [
        "Job postgresql-users",
      ],
      "Job postgresql-users": [
        "StatefulSet postgresql",
      ],
      "Job superset-databases": [
        "Deployment nessie",
        "Deployment trino-coordinator",
        "Deployment trino-worker",
        "Job kafka-topics",
        "Job minio-buckets",
        "Job postgresql-users",
        "Job superset-setup",
        "StatefulSet clickhouse",
      ],
      "Job superset-setup": [
        "Deployment exporters-statsd",
        "Job postgresql-users",
        "StatefulSet redis",
      ],
      "StatefulSet clickhouse": [],
      "StatefulSet grafana": [],
      "StatefulSet kafka": [],
      "StatefulSet minio": [],
      "StatefulSet noetl": [
        "Job noetl-schema",
        "Job postgresql-users",
        "StatefulSet noetl-nats",
      ],
      "StatefulSet noetl-nats": [],
      "StatefulSet noetl-worker": [
        "StatefulSet noetl",
      ],
      "StatefulSet postgresql": [],
      "StatefulSet prometheus": [],
      "StatefulSet redis": [],
    }
  `);
});

it("the longest chain is that of NoETL, whose server needs its schema and whose worker needs the server", async () => {
  const all = waits(await monitored());
  const longest = Object.keys(all)
    .map((name) => chain(all, name))
    .sort((a, b) => b.length - a.length);
  expect(longest[0]).toMatchInlineSnapshot(`
    [
      "StatefulSet postgresql",
      "Job postgresql-users",
      "Job noetl-schema",
      "StatefulSet noetl",
      "StatefulSet noetl-worker",
    ]
  `);
});

it("a Service is created beside its workload, and only a LoadBalancer is awaited", async () => {
  const { evaluation } = await evaluated("test", { changes: "trino: { service: { type: LoadBalancer } }" });
  const services = evaluation.resources.filter(({ type }) => type.endsWith(":Service"));
  expect(services.filter(takesTime).map(({ name }) => name)).toEqual(["trino"]);
});

it("a deletion waits for the pods' grace periods", async () => {
  const changes = "trino: { worker: { drain: 3600 } }";
  const { resources } = (await evaluated("test", { changes })).evaluation;
  const timeouts = resources
    .filter(({ type }) => type.endsWith(":Deployment"))
    .map(({ name, inputs, options }) => ({
      name,
      grace: (inputs as { spec: { template: { spec: { terminationGracePeriodSeconds: number } } } }).spec.template.spec
        .terminationGracePeriodSeconds,
      timeout: Number.parseInt(options.customTimeouts?.delete ?? "0", 10),
    }));
  expect(timeouts.filter(({ grace, timeout }) => timeout < grace + 300)).toEqual([]);
  expect(timeouts.find(({ name }) => name === "trino-worker")?.grace).toBeGreaterThan(3600);
});
