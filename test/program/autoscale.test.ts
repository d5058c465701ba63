// Proves that a workload with an autoscaler has no number of replicas that an update would set, and that what depends on
// the number has room for the most of them.
// Does not prove that anything is scaled: 67-autoscale does, on a cluster with metrics of its pods.
import { describe, expect, it } from "vitest";
import { wantedBy } from "../../cli/up.ts";
import { parseConfig } from "../../config/problems.ts";
import { totals } from "../../policy/rules/whole.ts";
import { changed, type Evaluated, evaluated, named } from "./stacks.ts";

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

it("the embedded cluster gets metrics-server for an autoscaler, and for no other stack", async () => {
  const of = async (changes?: string) => wantedBy((await evaluated("test", { changes })).evaluation).metrics;
  expect(await of(`trino: { worker: { ${autoscale} } }`)).toBe(true);
  expect(await of()).toBe(false);
});

it("Airflow starts as many tasks as the most workers can run", async () => {
  const program = await evaluated("test", {
    changes: "airflow: { worker: { concurrency: 16, autoscale: { min: 1, max: 10 } } }",
  });
  const { env } = named(program, "Deployment", "airflow-scheduler").spec.template.spec.containers[0];
  expect(env).toContainEqual({ name: "AIRFLOW__CORE__PARALLELISM", value: "160" });
});

describe("a number that follows a queue", () => {
  const ofKind = (program: Evaluated, kind: string) =>
    program.objects.filter((one) => one.kind === kind).map(({ spec, metadata }) => ({ name: metadata.name, spec }));
  const range = "min: 1, max: 5";

  it("is KEDA's: Airflow's tasks are counted in its database, with the password from its Secret", async () => {
    const program = await evaluated("test", { changes: `airflow: { worker: { autoscale: { ${range}, queue: 4 } } }` });
    expect(named(program, "Deployment", "airflow-worker").spec).not.toHaveProperty("replicas");
    expect(program.objects.filter(({ kind }) => kind === "HorizontalPodAutoscaler")).toEqual([]);
    // The quotas count what may run.
    expect(totals(program.objects).cpu).toBeGreaterThan(totals((await evaluated("test")).objects).cpu);
    expect(ofKind(program, "ScaledObject")).toEqual([
      {
        name: "airflow-worker",
        spec: {
          scaleTargetRef: { name: "airflow-worker" },
          minReplicaCount: 1,
          maxReplicaCount: 5,
          pollingInterval: 15,
          advanced: {
            horizontalPodAutoscalerConfig: {
              behavior: {
                scaleDown: {
                  stabilizationWindowSeconds: 300,
                  policies: [{ type: "Pods", value: 1, periodSeconds: 60 }],
                },
              },
            },
          },
          triggers: [
            {
              type: "postgresql",
              metadata: {
                host: "postgresql.test-core.svc",
                port: "5432",
                dbName: "airflow",
                sslmode: "disable",
                query: "SELECT count(*) FROM task_instance WHERE state IN ('queued', 'running')",
                targetQueryValue: "4",
              },
              authenticationRef: { name: "airflow-worker" },
            },
          ],
        },
      },
    ]);
    const secret = { name: "postgresql-user-airflow" };
    expect(ofKind(program, "TriggerAuthentication")).toEqual([
      {
        name: "airflow-worker",
        spec: {
          secretTargetRef: [
            { parameter: "userName", ...secret, key: "username" },
            { parameter: "password", ...secret, key: "password" },
          ],
        },
      },
    ]);
  });

  it.each([
    ["", "default", "redis-admin"],
    ["global: { separateUsers: true }", "superset-queue", "redis-user-superset-queue"],
  ])("counts Superset's tasks in Redis, and CPU beside them if it is set (%s)", async (global, username, secret) => {
    const program = await evaluated("test", {
      changes: `superset: { worker: { autoscale: { ${range}, queue: 2, cpu: 70 } } }\n${global}`,
    });
    const [scaled] = ofKind(program, "ScaledObject");
    expect(scaled?.spec.triggers).toEqual([
      {
        type: "redis",
        metadata: {
          address: "redis.test-core.svc:6379",
          username,
          databaseIndex: "3",
          listName: "celery",
          listLength: "2",
        },
        authenticationRef: { name: "superset-worker" },
      },
      { type: "cpu", metricType: "Utilization", metadata: { value: "70" } },
    ]);
    expect(ofKind(program, "TriggerAuthentication")[0]?.spec.secretTargetRef).toEqual([
      { parameter: "password", name: secret, key: "password" },
    ]);
  });

  it("needs no other connection than KEDA's to the server, with network policies", async () => {
    const policy = async (changes: string, name: string) =>
      JSON.stringify(named(await evaluated("test", { changes }), "NetworkPolicy", name).spec);
    const policies = "global: { networkPolicies: { enabled: true, keda: { namespaceLabels: { team: scaling } } } }";
    const from =
      '{"namespaceSelector":{"matchLabels":{"team":"scaling"}},"podSelector":{"matchLabels":{"app":"keda-operator"}}}';
    for (const [component, server] of [
      ["airflow", "postgresql-server"],
      ["superset", "redis-server"],
    ] as const) {
      const queue = `${component}: { worker: { autoscale: { ${range}, queue: 4 } } }`;
      expect(await policy(policies, server)).not.toContain(from);
      expect(await policy(`${policies}\n${queue}`, server)).toContain(from);
    }
  });

  it("has two connections to PostgreSQL more", () => {
    const parse = (autoscale: object) => () =>
      parseConfig("test", { postgresql: { maxConnections: 100 }, airflow: { worker: { autoscale } } });
    const needed = (autoscale: object) => {
      try {
        parse(autoscale)();
      } catch (error) {
        return Number(/airflow (\d+)/.exec((error as Error).message)?.[1]);
      }
      return 0;
    };
    const most = { min: 1, max: 60 };
    expect(needed({ ...most, queue: 4 })).toBe(needed(most) + 2);
  });
});

it("PostgreSQL has connections for the most workers", () => {
  const parse = (worker: object) => () =>
    parseConfig("test", { postgresql: { maxConnections: 160 }, superset: { worker } });
  expect(parse({ replicas: 1 })).not.toThrow();
  expect(parse({ autoscale: { min: 1, max: 16 } })).toThrow(
    /postgresql.maxConnections: found 160; expected at least \d+: .*superset 72/,
  );
});
