// Proves that Prometheus scrapes every component of the test stack, and that the dashboards' queries return results.
// Does not prove Grafana, which no package has, nor ClickHouse's metrics if its image is built from packages.
// Exercises: every component.
import { beforeAll, describe, expect, it, vi } from "vitest";
import { address, kube, runIn, whole, wholeStack } from "./kit.ts";

let prometheus: string;

interface Target {
  labels: { job: string; pod: string };
  health: "up" | "down" | "unknown";
  lastError: string;
}

/** Calls Prometheus' API. */
async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(`${prometheus}/api/v1/${path}`);
  const body = (await answer.json()) as { data: T; error?: string };
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${body.error}`);
  return body.data;
}

const targets = async () => (await ask<{ activeTargets: Target[] }>("targets?state=active")).activeTargets;

beforeAll(async () => {
  await wholeStack();
  prometheus = `http://${await address("prometheus", whole.monitoring)}:9090`;
});

describe("Prometheus", () => {
  const jobs = [
    "clickhouse-server",
    "deployd-server",
    "exporters-postgresql",
    "exporters-redis",
    "exporters-statsd",
    "flink-jobmanager",
    "flink-taskmanager",
    "kafka-server",
    "minio-server",
    "nessie-server",
    "prometheus-server",
    "schema-registry-server",
    "spark-master",
    "spark-worker",
    "trino-coordinator",
    "trino-worker",
  ];

  it("scrapes every component, each of its pods", async () => {
    // The interval is 30 seconds, and a new pod may have been scraped before it listened.
    await vi.waitFor(
      async () => {
        const found = await targets();
        expect([...new Set(found.map(({ labels }) => labels.job))].sort()).toEqual(jobs);
        const wrong = found.filter(({ health }) => health !== "up");
        // The image built from packages, of 2018, has no such port.
        expect(wrong.map(({ labels, lastError }) => [labels.job, lastError])).toEqual([
          ["clickhouse-server", expect.stringContaining("connection refused")],
        ]);
        for (const job of ["spark-worker", "trino-worker"])
          expect(found.filter(({ labels }) => labels.job === job)).toHaveLength(2);
      },
      { timeout: 120_000, interval: 1_000 },
    );
  });

  it("may read pods and nothing else", async () => {
    const token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    const get = (path: string) =>
      runIn("prometheus-0", whole.monitoring, "prometheus", [
        "sh",
        "-c",
        `wget -q -S -O /dev/null --no-check-certificate --header "Authorization: Bearer $(cat ${token})" https://$KUBERNETES_SERVICE_HOST${path} 2>&1 | grep HTTP/ || true`,
      ]);
    expect(await get(`/api/v1/namespaces/${whole.core}/pods`)).toContain("200");
    expect(await get(`/api/v1/namespaces/${whole.core}/secrets`)).toContain("403");
    expect(await get("/api/v1/namespaces/kube-system/pods")).toContain("403");
  });
});

describe("every panel", () => {
  /** Panels whose metrics need an event that no test causes. */
  const idle = new Set([
    "airflow: Finished tasks",
    "minio: Failed requests",
    "superset: API calls",
    "superset: SQL Lab query duration, 90th percentile",
    "flink: Duration of the last checkpoint",
    "flink: Failed checkpoints",
    "flink: Job restarts",
    "redis: Out-of-memory errors and evictions per hour",
    "schema-registry: Failed storage calls",
  ]);

  it("of each dashboard has a result", async () => {
    const map = await kube().get({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "exporters-dashboards", namespace: whole.monitoring },
    });
    const { data } = map as unknown as { data: Record<string, string> };
    expect(Object.keys(data)).toHaveLength(12);
    const empty = async () => {
      const found: string[] = [];
      for (const text of Object.values(data)) {
        const { title, panels } = JSON.parse(text) as {
          title: string;
          panels: { title: string; targets: { expr: string }[] }[];
        };
        for (const panel of panels)
          for (const { expr } of panel.targets) {
            const { result } = await ask<{ result: unknown[] }>(`query?query=${encodeURIComponent(expr)}`);
            if (result.length === 0) found.push(`${title}: ${panel.title}`);
          }
      }
      return [...new Set(found)].filter((panel) => !panel.startsWith("clickhouse: ") && !idle.has(panel));
    };
    // A rate needs two samples.
    await vi.waitFor(async () => expect(await empty()).toEqual([]), { timeout: 180_000, interval: 5_000 });
  });
});
