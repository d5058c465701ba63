// Proves that a workload with an autoscaler has no number of replicas that an update would set, and that what depends on
// the number has room for the most of them.
// Does not prove that anything is scaled: that takes a cluster with metrics of its pods.
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../config/problems.ts";
import { totals } from "../../policy/rules/whole.ts";
import { changed, evaluated, named } from "./stacks.ts";

const autoscale = "autoscale: { min: 2, max: 6, cpu: 60 }";

describe.each([
  ["trino-worker", `trino: { worker: { ${autoscale} } }`],
  ["airflow-worker", `airflow: { worker: { ${autoscale} } }`],
  ["superset-worker", `superset: { worker: { ${autoscale} } }`],
  ["flink-taskmanager", `flink: { taskManager: { ${autoscale} } }`],
  ["app-test-deployment-worker", `webApp: { worker: { ${autoscale} } }`],
])("%s", (name, changes) => {
  it("has an autoscaler, a disruption budget, and no replicas of the program's", async () => {
    const program = await evaluated("test", { changes });
    const deployment = named(program, "Deployment", name);
    expect(deployment.spec).not.toHaveProperty("replicas");
    expect(named(program, "HorizontalPodAutoscaler", name).spec).toEqual({
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
      minReplicas: 2,
      maxReplicas: 6,
      metrics: [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 60 } } },
      ],
      behavior: {
        scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: "Pods", value: 1, periodSeconds: 60 }] },
      },
    });
    expect(named(program, "PodDisruptionBudget", name).spec.selector.matchLabels).toEqual(
      deployment.spec.selector.matchLabels,
    );
    // The quotas count what may run.
    expect(totals(program.objects).cpu).toBeGreaterThan(totals((await evaluated("test")).objects).cpu);
  });
});

it("another range changes the autoscaler alone: no pod rolls", async () => {
  const of = (range: string) => evaluated("test", { changes: `trino: { worker: { autoscale: ${range} } }` });
  expect(changed(await of("{ min: 1, max: 4 }"), await of("{ min: 2, max: 8 }"))).toEqual([
    "HorizontalPodAutoscaler trino-worker",
  ]);
});

it("Airflow starts as many tasks as the most workers can run", async () => {
  const program = await evaluated("test", {
    changes: "airflow: { worker: { concurrency: 16, autoscale: { min: 1, max: 10 } } }",
  });
  const { env } = named(program, "Deployment", "airflow-scheduler").spec.template.spec.containers[0];
  expect(env).toContainEqual({ name: "AIRFLOW__CORE__PARALLELISM", value: "160" });
});

it("PostgreSQL has connections for the most workers", () => {
  const parse = (worker: object) => () =>
    parseConfig("test", { postgresql: { maxConnections: 160 }, superset: { worker } });
  expect(parse({ replicas: 1 })).not.toThrow();
  expect(parse({ autoscale: { min: 1, max: 16 } })).toThrow(
    /postgresql.maxConnections: found 160; expected at least \d+: .*superset 72/,
  );
});
