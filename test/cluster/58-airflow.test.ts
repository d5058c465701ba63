// Proves that Airflow admits only its user, runs a triggered DAG on a Celery worker, and keeps the log in MinIO.
// Does not prove deferred tasks, several schedulers, nor a worker's death during a task. DAGs from git are in
// 70-whole-life.test.ts, DAG runs beside a full cache in 63-separate-users.test.ts.
// Exercises: airflow, postgresql, redis, minio.
import { beforeAll, describe, expect, it, vi } from "vitest";
import { ask, logIn, login, logOf, patience, runDag } from "./airflow.ts";
import { address, bucketKeys, kube, read, s3, whole, wholeStack } from "./kit.ts";

interface Task {
  task_id: string;
  state: string;
  hostname: string;
  try_number: number;
}

const log = (run: string) => logOf("hello", run, "greet");

/** The workers' pods. */
async function workers() {
  const pods = await kube().list("v1", "Pod", whole.apps);
  return pods.filter(({ metadata }) => metadata.labels?.["app.kubernetes.io/component"] === "worker");
}

let run: string;
let host: string;
/** The object key of that run's log. */
const object = () => `logs/dag_id=hello/run_id=${run}/task_id=greet/attempt=1.log`;

beforeAll(async () => {
  await wholeStack();
  await logIn();
});

describe("Airflow", () => {
  it("refuses a wrong password and an invalid token", async () => {
    await expect(login("wrong")).rejects.toThrow(/^401/);
    await expect(ask("/api/v2/dags", { token: "wrong" })).rejects.toThrow(/^401|^403/);
  });

  it("reports all of its processes as healthy", async () => {
    // Healthy means a heartbeat within 30 seconds, which may be late on a busy machine.
    await vi.waitFor(async () => {
      const health = await ask<Record<string, { status: string }>>("/api/v2/monitor/health");
      const status = Object.fromEntries(Object.entries(health).map(([name, { status }]) => [name, status]));
      expect(status).toEqual({
        metadatabase: "healthy",
        scheduler: "healthy",
        triggerer: "healthy",
        dag_processor: "healthy",
      });
    }, patience);
  });

  it("runs a DAG on a Celery worker", async () => {
    run = await runDag("hello");
    const { task_instances: tasks } = await ask<{ task_instances: Task[] }>(
      `/api/v2/dags/hello/dagRuns/${run}/taskInstances`,
    );
    expect(tasks.map(({ task_id, state, try_number }) => ({ task_id, state, try_number }))).toEqual([
      { task_id: "greet", state: "success", try_number: 1 },
    ]);
    // Airflow identifies a worker by its pod's address.
    const worker = (await workers()).find(({ status }) => status?.podIP === tasks[0]!.hostname);
    expect(worker?.metadata.name).toMatch(/^airflow-worker-/);
    host = worker!.metadata.name;
    console.log(`the task ran on ${host}`);
  });

  it("has the task's log in MinIO, and shows it", async () => {
    const keys = await bucketKeys("airflow", whole.core);
    const client = await s3(keys.accessKey, keys.secretKey, await address("minio", whole.core));
    // The worker uploads it when the task has ended.
    await vi.waitFor(
      async () => expect(await read(client, "airflow", object())).toContain(`Hello from ${host}`),
      patience,
    );
    expect(await log(run)).toContain(`Hello from ${host}`);
  });

  it("still shows it after the worker's pod is deleted", async () => {
    await kube().delete({ apiVersion: "v1", kind: "Pod", metadata: { name: host, namespace: whole.apps } });
    await vi.waitFor(async () => {
      const names = (await workers()).map(({ metadata }) => metadata.name);
      expect(names).not.toContain(host);
    }, patience);
    const shown = await log(run);
    expect(shown).toContain(`s3://airflow/${object()}`);
    expect(shown).toContain(`Hello from ${host}`);
  });

  it("runs tasks on the new worker", async () => {
    const again = await runDag("hello");
    // There is a moment when the worker has deleted its log and the API has not found it in MinIO yet.
    const shown = await vi.waitFor(async () => {
      const text = await log(again);
      expect(text).toContain("Hello from airflow-worker-");
      return text;
    }, patience);
    expect(shown).not.toContain(host);
  });
});
