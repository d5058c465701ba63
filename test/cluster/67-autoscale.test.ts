// Proves that metrics-server tells the pods' use of CPU, that queued queries raise the number of Trino's workers, that
// `up` leaves that number alone, and that an idle worker drains before it goes, without a failed query.
// Does not prove the five minutes before that, which the test shortens to none, the number under an update that replaces
// the workers, nor the autoscalers of other components and KEDA.
// Exercises: trino, postgresql, nessie, minio.
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { fileOfComponents, get, kube, leadsToPods, mustRun, podsOf, roomFor, unchanged } from "./kit.ts";
import { queries, rows, sql, start, tasks } from "./trino.ts";

const apps = "dev-apps";
const here = { namespace: apps };
const patience = { timeout: 300_000, interval: 1_000 };

const components = (cpu: number) => ({
  postgresql: { enabled: true },
  minio: { enabled: true },
  nessie: { enabled: true },
  trino: {
    enabled: true,
    worker: {
      autoscale: { min: 1, max: 2, cpu },
      drain: 180,
      // An idle worker takes about a tenth of that, and a busy one more than all.
      resources: { requests: { cpu: "400m" } },
    },
    resourceGroups: {
      rootGroups: [{ name: "all", hardConcurrencyLimit: 4, maxQueued: 100, softMemoryLimit: "80%" }],
      selectors: [{ group: "all" }],
    },
  },
});
const up = (cpu = 60) => mustRun(["up", "--stack", "dev", "--config-file", fileOfComponents(components(cpu))]);

const workers = () => podsOf("trino", "worker", apps);
const named = { name: "trino-worker", namespace: apps };
const replicas = async () =>
  (await kube().get({ apiVersion: "apps/v1", kind: "Deployment", metadata: named }))?.spec.replicas as number;

/** The mean use of CPU as the autoscaler has it, in percent of what the workers request. */
async function usage(): Promise<number> {
  const autoscaler = { apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler", metadata: named };
  const status = (await kube().get(autoscaler))?.status;
  return status?.currentMetrics?.[0]?.resource?.current?.averageUtilization as number;
}

beforeAll(async () => {
  await roomFor(undefined);
  await up();
  await leadsToPods("trino", 8080, apps);
});

afterAll(() => mustRun(["destroy", "--stack", "dev"]));

it("the cluster says how much CPU and memory each pod uses", async () => {
  interface Usage {
    containers: { name: string; usage: { cpu: string; memory: string } }[];
  }
  await vi.waitFor(async () => {
    const all = await kube().list("metrics.k8s.io/v1beta1", "PodMetrics", apps);
    const [worker] = await workers();
    const metrics = all.find(({ metadata }) => metadata.name === worker) as unknown as Usage | undefined;
    expect(metrics?.containers).toEqual([
      { name: "trino", usage: { cpu: expect.stringMatching(/^\d+[num]?$/), memory: expect.stringMatching(/^\d+Ki$/) } },
    ]);
  }, patience);
});

describe("Trino's workers", () => {
  const rowCount = 6_001_215;
  const scan = "SELECT count(*), count_if(length(comment) > 0) FROM tpch.sf1.lineitem";
  let busy = true;
  /** The results of each client, which asks again and again. */
  let load: Promise<unknown[][][]>[] = [];

  // A failed test leaves no load to the next file.
  afterAll(() => {
    busy = false;
  });

  it("are more when queries wait", { timeout: 1_500_000 }, async () => {
    // One that took much CPU at its start may have got a second one, which goes after five minutes.
    await vi.waitFor(async () => expect(await workers()).toHaveLength(1), { timeout: 480_000, interval: 1_000 });
    const [first = ""] = await workers();
    load = Array.from({ length: 6 }, async () => {
      const found = [];
      while (busy) found.push(await sql(scan, here));
      return found;
    });
    // Prevents an unhandled rejection: an error is thrown where the results are awaited.
    for (const client of load) client.catch(() => {});
    await vi.waitFor(async () => {
      const states = (await queries(apps)).map(({ state }) => state);
      expect(states.filter((state) => state === "QUEUED").length).toBeGreaterThan(1);
    }, patience);

    await vi.waitFor(async () => expect(await replicas()).toBe(2), patience);
    const second = await vi.waitFor(
      async () => {
        const [name = ""] = (await workers()).filter((pod) => pod !== first);
        const conditions = (await get("Pod", name, apps))?.status?.conditions;
        expect(conditions).toContainEqual(expect.objectContaining({ type: "Ready", status: "True" }));
        return name;
      },
      { timeout: 600_000, interval: 1_000 },
    );
    // Only a query that begins after Trino knows the second worker runs on it too.
    await vi.waitFor(async () => {
      const begun = (await queries(apps)).filter(({ state }) => state === "RUNNING");
      const there = await Promise.all(begun.map(({ queryId }) => tasks(queryId, second, apps)));
      expect(there.flat()).not.toEqual([]);
    }, patience);
  });

  it("keep their number when `up` has nothing to do, and when it changes their autoscaler", {
    timeout: 900_000,
  }, async () => {
    expect(await up()).toMatch(unchanged);
    expect(await replicas()).toBe(2);
    await up(65);
    expect(await replicas()).toBe(2);
  });

  it("have answered every query", { timeout: 600_000 }, async () => {
    busy = false;
    const results = (await Promise.all(load)).flat();
    console.log(`${results.length} queries were answered`);
    expect(results).toEqual(results.map(() => [[rowCount, rowCount]]));
  });

  it("are fewer when there is less to do, and finish what runs on them", { timeout: 900_000 }, async () => {
    await vi.waitFor(async () => expect(await usage()).toBeLessThan(25), patience);
    // It waits in PostgreSQL: it runs on a worker, and needs no CPU there.
    const slow = "SELECT one FROM TABLE(postgresql.system.query(query => 'SELECT 1 AS one FROM pg_sleep(90)'))";
    const begun = await Promise.all(Array.from({ length: 4 }, () => start(slow, here)));
    const results = Promise.all(begun.map(rows));
    results.catch(() => {});
    const before = await workers();
    expect(before).toHaveLength(2);
    const running = async (worker: string) =>
      (await Promise.all(begun.map(({ id }) => tasks(id, worker, apps)))).flat().filter((state) => state === "RUNNING");
    for (const worker of before)
      await vi.waitFor(async () => expect(await running(worker)).not.toEqual([]), { timeout: 30_000, interval: 250 });

    // The number falls as soon as the load does, not after five minutes.
    await kube().apply({
      apiVersion: "autoscaling/v2",
      kind: "HorizontalPodAutoscaler",
      metadata: named,
      spec: { behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } },
    });
    const leaving = await vi.waitFor(
      async () => {
        const staying = await workers();
        expect(staying).toHaveLength(1);
        return before.find((name) => !staying.includes(name)) ?? "";
      },
      { timeout: 80_000, interval: 250 },
    );
    expect(await replicas()).toBe(1);
    expect(await running(leaving)).not.toEqual([]);

    expect(await results).toEqual([[[1]], [[1]], [[1]], [[1]]]);
    await vi.waitFor(async () => expect(await get("Pod", leaving, apps)).toBeUndefined(), patience);
    expect(await sql("SELECT count(*) FROM tpch.tiny.nation", here)).toEqual([[25]]);
  });
});
