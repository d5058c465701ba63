// A client of Airflow's API, for the tests that use it.
import { expect, vi } from "vitest";
import { address, leadsToPods, secret, whole } from "./kit.ts";

export const patience = { timeout: 120_000, interval: 1_000 };

let api: string;
let token: string;

/** Calls the API as the user `admin`. */
export async function ask<T>(
  path: string,
  options: { method?: string; body?: unknown; token?: string } = {},
): Promise<T> {
  const response = await fetch(`${api}${path}`, {
    method: options.method ?? "GET",
    headers: { "content-type": "application/json", authorization: `Bearer ${options.token ?? token}` },
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return JSON.parse(text) as T;
}

export const login = (password: string) =>
  ask<{ access_token: string }>("/auth/token", { method: "POST", body: { username: "admin", password }, token: "" });

interface Run {
  dag_run_id: string;
  state: string;
}

/** Logs in: later calls are made as the administrator. Default: of the stack with every component. */
export async function logIn(namespace = whole.apps): Promise<void> {
  await leadsToPods("airflow", 8080, namespace);
  api = `http://${await address("airflow", namespace)}:8080`;
  const { password = "" } = await secret("airflow-admin", namespace);
  token = (await login(password)).access_token;
}

/** The log of a task's first attempt. It starts with its source. */
export async function logOf(dag: string, run: string, task: string): Promise<string> {
  const { content } = await ask<{ content: { event: string }[] }>(
    `/api/v2/dags/${dag}/dagRuns/${run}/taskInstances/${task}/logs/1`,
  );
  return content.map(({ event }) => event).join("\n");
}

/** Triggers a DAG as soon as Airflow has parsed it, and waits for its end. Returns the run's ID. */
export async function runDag(dag: string): Promise<string> {
  await vi.waitFor(() => ask(`/api/v2/dags/${dag}`, { method: "PATCH", body: { is_paused: false } }), patience);
  const { dag_run_id } = await ask<Run>(`/api/v2/dags/${dag}/dagRuns`, {
    method: "POST",
    body: { logical_date: null },
  });
  await vi.waitFor(async () => {
    const { state } = await ask<Run>(`/api/v2/dags/${dag}/dagRuns/${dag_run_id}`);
    expect(state).toBe("success");
  }, patience);
  return dag_run_id;
}
