// Proves that the web app loses none of 200 jobs when a worker is killed, that two stacks share nothing, and that
// promotion, backup and restore work.
// Does not prove an Ingress: the local cluster has no controller for it.
// Exercises: web-app, minio, apps/web-app, apps/commands/web-app, components/redis, Pulumi.prod.yaml.
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CoreV1Api } from "@kubernetes/client-node";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  address,
  bucketKeys,
  fileOfComponents,
  get,
  kube,
  kubeConfig,
  leadsToPods,
  mustRun,
  platform,
  podsOf,
  runIn,
  s3,
  secret,
  small,
  smallStack,
  stackFile,
  succeedPod,
  unready,
} from "./kit.ts";

const first = small.stack;
/** Another environment in the same cluster, with only the web app. */
const second = `${first}2`;
const apps = { first: small.apps, second: `${second}-apps` };
const secondFile = () => fileOfComponents({ webApp: {} });

let url: { first: string; second: string };

interface Job {
  id: string;
  status: string;
  worker: string;
  attempts: number;
}

/** Calls the API. Fails with its message if it refuses. */
async function ask<T>(path: string, body?: unknown, method = body === undefined ? "GET" : "POST", at = url.first) {
  const answer = await fetch(at + path, {
    method,
    // The server closes a connection after two idle seconds, perhaps while the next request is sent.
    headers: { connection: "close" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
}

const submit = async (job: object) => (await ask<Job>("/jobs", job)).id;
const done = (id: string, timeout = 60_000) =>
  vi.waitFor(
    async () => {
      const { status, results } = await ask<{ status: string; results: object }>(`/jobs/${id}/results`);
      if (status !== "done") throw new Error(`job ${id} is ${status}`);
      return results;
    },
    { timeout, interval: 200 },
  );

beforeAll(async () => {
  await smallStack();
  if (!process.env.TEST_STACK) await mustRun(["up", "--stack", second, "--config-file", secondFile()]);
  const urlOf = async (stack: string) => `http://${await address(`app-${stack}-service-flask`, `${stack}-apps`)}:5000`;
  url = { first: await urlOf(first), second: await urlOf(second) };
  await ask("/data", undefined, "DELETE");
});

afterAll(async () => {
  // One of them failed on purpose.
  const jobs = await kube().list("batch/v1", "Job", apps.first, { labelSelector: "app=web-app,role=restore" });
  for (const job of jobs) await kube().delete(job);
  if (!process.env.TEST_STACK) await mustRun(["destroy", "--stack", second, "--config-file", secondFile()]);
});

it("accepts data and a job, and returns the worker's results", async () => {
  await ask("/data", { rows: [{ city: "Oslo", t: 2 }, { city: "Bergen", t: 7 }, { city: "Bodø" }] });
  const id = await submit({ kind: "statistics", column: "t" });
  expect(await done(id)).toEqual({ count: 2, minimum: 2, maximum: 7, mean: 4.5, median: 4.5, deviation: 2.5 });
  expect(await podsOf("web-app", "worker", apps.first)).toContain((await ask<Job>(`/jobs/${id}`)).worker);
  expect(await ask("/healthz")).toMatchObject({ status: "ok", queued: 0 });
});

it("also answers at a NodePort, and refuses with one sentence", async () => {
  const service = await get("Service", `app-${first}-service-nodeport-flask`, apps.first);
  const [pod = ""] = await podsOf("web-app", "flask", apps.first);
  const node = (await get("Pod", pod, apps.first))!.status!.hostIP;
  const answer = await fetch(`http://${node}:${service!.spec.ports[0].nodePort}/jobs`, { method: "POST", body: "{}" });
  expect({ status: answer.status, body: await answer.json() }).toEqual({
    status: 400,
    body: { error: "kind: found nothing; expected one of histogram, statistics, wait" },
  });
});

it("refuses half of a surrogate pair, and keeps answering", async () => {
  for (const [path, body] of [
    ["/data", '{"rows":[{"a":"\\ud800"}]}'],
    ["/jobs", '{"kind":"statistics","column":"\\ud83d"}'],
  ] as const) {
    const answer = await fetch(url.first + path, { method: "POST", headers: { connection: "close" }, body });
    expect(answer.status).toBe(400);
    await ask(path);
  }
});

it("processes more rows than fit in a worker's memory", async () => {
  const rows = Array.from({ length: 10_000 }, (_, i) => ({ n: i }));
  // Parsed at once, they would exceed the worker's memory.
  for (let i = 0; i < 50; i++) await ask("/data", { rows });
  const id = await submit({ kind: "statistics", column: "n" });
  expect(await done(id, 120_000)).toMatchObject({ count: 500_000, minimum: 0, maximum: 9_999 });
  expect((await ask<Job>(`/jobs/${id}`)).attempts).toBe(1);
  await ask("/data", undefined, "DELETE");
});

it("loses none of 200 jobs when a worker is killed in the middle of one", async () => {
  const short = () => submit({ kind: "wait", seconds: 0.02 });
  const before = await Promise.all(Array.from({ length: 100 }, short));
  // Long enough for a busy node to have killed its worker meanwhile.
  const long = await submit({ kind: "wait", seconds: 20 });
  const after = await Promise.all(Array.from({ length: 99 }, short));
  const killed = await vi.waitFor(
    async () => {
      const { status, worker } = await ask<Job>(`/jobs/${long}`);
      if (status !== "running") throw new Error(`job ${long} is ${status}`);
      return worker;
    },
    { timeout: 60_000, interval: 100 },
  );
  await kubeConfig()
    .makeApiClient(CoreV1Api)
    .deleteNamespacedPod({ name: killed, namespace: apps.first, gracePeriodSeconds: 0 });

  const ids = [...before, long, ...after];
  expect(new Set(ids).size).toBe(200);
  for (const id of ids) await done(id, 120_000);
  const { worker, attempts } = await ask<Job>(`/jobs/${long}`);
  expect({ attempts, again: worker === killed }).toEqual({ attempts: 2, again: false });
  expect(await ask("/healthz")).toMatchObject({ queued: 0 });
});

describe("two stacks side by side", () => {
  const kinds = [
    ["v1", "Secret"],
    ["v1", "ConfigMap"],
    ["v1", "Service"],
    ["v1", "ServiceAccount"],
    ["v1", "PersistentVolumeClaim"],
    ["apps/v1", "Deployment"],
  ] as const;
  const objects = async (namespace: string) =>
    (
      await Promise.all(
        kinds.map(([version, kind]) => kube().list(version, kind, namespace, { labelSelector: "app=web-app" })),
      )
    ).flat();

  it("share no object, secret or volume", async () => {
    const [one, other] = await Promise.all([objects(apps.first), objects(apps.second)]);
    const facts = (all: typeof one) => ({
      names: all.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
      uids: all.map(({ metadata }) => metadata.uid),
      secrets: all
        .flatMap((object) => Object.values((object as { data?: Record<string, string> }).data ?? {}))
        .filter((value) => !value.includes("\n")),
      volumes: all.flatMap(({ spec }) => spec?.volumeName ?? []) as string[],
      environments: [...new Set(all.map(({ metadata }) => metadata.labels!.environment))],
    });
    const [mine, theirs] = [facts(one), facts(other)];
    expect([mine.environments, theirs.environments]).toEqual([[first], [second]]);
    for (const kind of kinds.map(([, kind]) => kind))
      expect([mine, theirs].map(({ names }) => names.some((name) => name.startsWith(kind)))).toEqual([true, true]);
    for (const of of ["names", "uids", "secrets", "volumes"] as const) {
      expect(mine[of].length).toBeGreaterThan(0);
      expect(mine[of].filter((value) => theirs[of].includes(value))).toEqual([]);
    }
  });

  it("cannot read each other's data, and refuse each other's password", async () => {
    await ask("/data", { rows: [{ only: "first" }] });
    expect(await ask("/data", undefined, "GET", url.second)).toEqual({ count: 0, rows: [] });
    const login = async (to: keyof typeof apps, stack: string) => {
      const { password } = await secret(`app-${stack}-secret-redis`, `${stack}-apps`);
      const host = await address(`app-${to === "first" ? first : second}-service-redis`, apps[to]);
      const client = new Redis({ host, password, lazyConnect: true, retryStrategy: () => null });
      client.on("error", () => {});
      return client.ping().finally(() => client.disconnect());
    };
    expect(await login("second", second)).toBe("PONG");
    await expect(login("second", first)).rejects.toThrow();
  });
});

it("refuses a tag that is no semantic version before any change", async () => {
  const file = stackFile("dev", 'webApp: { image: "data-platform/web-app:latest" }');
  const out = join(mkdtempSync(join(tmpdir(), "render-")), "out");
  const { exitCode, all } = await platform(["render", "--stack", "dev", "--config-file", file, "--out", out]);
  expect(String(all)).toContain(
    'stack dev: webApp.image: found "data-platform/web-app:latest"; expected an image with a semantic version as its tag',
  );
  expect(exitCode).toBe(2);
});

describe("a promotion", () => {
  const older = readFileSync("Pulumi.prod.yaml", "utf8").replace("web-app:1.0.0", "web-app:0.9.0");
  const path = join(mkdtempSync(join(tmpdir(), "promote-")), "Pulumi.prod.yaml");
  const args = ["promote", "--from", first, "--to", "prod", "--to-file", path];

  it("shows what it would write, and writes nothing by default", async () => {
    writeFileSync(path, older);
    const { exitCode, all } = await platform(args);
    expect(String(all)).toContain("-    image: data-platform/web-app:0.9.0\n+    image: data-platform/web-app:1.0.0\n");
    expect(String(all)).toContain("expected --yes to write without asking");
    expect(exitCode).toBe(2);
    expect(readFileSync(path, "utf8")).toBe(older);
  });

  it("writes only the running version that passes its checks; a second one has nothing to do", async () => {
    expect(await mustRun([...args, "--yes"])).toContain("checks passed");
    expect(readFileSync(path, "utf8")).toBe(older.replace("web-app:0.9.0", "web-app:1.0.0"));
    expect(await mustRun([...args, "--yes"])).toContain("Pulumi.prod.yaml: has these versions already");
  });
});

describe("a backup", () => {
  const run = (...args: string[]) => ["web-app", ...args, "--stack", first];
  const inRedis = async (script: string) => {
    const [pod = ""] = await podsOf("web-app", "redis", apps.first);
    return runIn(pod, apps.first, "redis", ["sh", "-c", `export REDISCLI_AUTH="$PASSWORD"; ${script}`]);
  };
  let name: string;
  let before: unknown;
  let job: string;

  it("is created, and the oldest one beyond the retention is deleted", async () => {
    await ask("/data", { rows: [{ kept: "æøå" }] });
    before = await ask("/data");
    job = await submit({ kind: "statistics", values: [1, 2, 6] });
    await done(job);
    const keys = await bucketKeys("web-app", apps.first);
    const client = await s3(keys.accessKey, keys.secretKey, await address("minio", small.core));
    const old = Array.from({ length: 7 }, (_, i) => `${first}/2000-01-0${i + 1}T00-00-00Z.rdb`);
    for (const one of old) await client.putObject("web-app", one, "old");
    name = /^backup (\S+)$/m.exec(await mustRun(run("backup")))![1]!;
    const objects = (await client.listObjects("web-app", `${first}/`).toArray()) as { name: string }[];
    const names = objects.map((object) => object.name);
    expect(names).toContain(`${first}/${name}`);
    expect(names).not.toContain(old[0]);
    expect(names.length).toBeLessThanOrEqual(7);
  });

  it("restores what was wiped", async () => {
    await inRedis("redis-cli flushall");
    expect(await ask("/data")).toEqual({ count: 0, rows: [] });
    await expect(ask(`/jobs/${job}`)).rejects.toThrow(/404/);
    expect(await mustRun(run("restore", "--from", name))).toContain("restored");
    expect(await ask("/data")).toEqual(before);
    expect(await done(job)).toMatchObject({ mean: 3 });

    await succeedPod("web-app", "redis", apps.first);
    await leadsToPods(`app-${first}-service-redis`, 6379, apps.first);
    await vi.waitFor(async () => expect(await ask("/data")).toEqual(before), { timeout: 30_000, interval: 500 });
    expect(await done(await submit({ kind: "statistics", values: [4] }))).toMatchObject({ mean: 4 });
  });

  it("that does not exist is refused, with a list of those that do", async () => {
    const { exitCode, all } = await platform(run("restore", "--from", "2001-01-01T00-00-00Z.rdb"));
    expect(exitCode).toBe(1);
    expect(String(all)).toContain("there is no backup 2001-01-01T00-00-00Z.rdb; there are:");
    expect(String(all)).toContain(name);
    expect(await ask("/data")).toEqual(before);
  });
});

it("everything is ready at the end", async () => {
  expect((await unready(apps.first)).filter((one) => one.startsWith("Deployment app-"))).toEqual([]);
});
