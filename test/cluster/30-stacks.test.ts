// Proves on simulated nodes: each stack's objects are admitted, its pods scheduled, updates minimal, protected data
// kept.
// Does not prove that prod's servers work: on simulated nodes no container runs.
// Exercises: every component.
import { CoreV1Api } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytes, millicores } from "../../config/quantity.ts";
import { kubeconfigPath } from "../../local/cluster/index.ts";
import { budgets } from "../budgets.ts";
import { kubeConfig, mustRun, platform, roomFor, stackFile, unchanged, unready } from "./kit.ts";

const nodes = 4;
const api = () => {
  const config = kubeConfig();
  return { core: config.makeApiClient(CoreV1Api), context: config.getCurrentContext() };
};

const isSimulated = (node: string) => node !== realNode;
let realNode = "";

/** Cordons or uncordons the real node. */
const cordon = (unschedulable: boolean) =>
  api().core.patchNode({ name: realNode, body: [{ op: "add", path: "/spec/unschedulable", value: unschedulable }] });

beforeAll(async () => {
  await roomFor(undefined);
  const before = await api().core.listNode();
  realNode = before.items[0]!.metadata!.name!;
  await mustRun(["cluster", "up", "--simulated-nodes", String(nodes), "--cpu", "4", "--memory", "12Gi"]);
  await cordon(true);
});

afterAll(async () => {
  await cordon(false);
  // The files after this one need real pods.
  await mustRun(["cluster", "up", "--simulated-nodes", "0"]);
});

const onCluster = (command: string, stack: string, args: string[] = []) => {
  const options = { env: { KUBECONFIG: kubeconfigPath() } };
  return platform([command, "--stack", stack, "--context", api().context, ...args], options);
};

describe.each([
  ["test", { minio: 1, kafka: 1 }],
  ["prod", { minio: 4, kafka: 3 }],
] as const)("stack %s", (stack, servers) => {
  const namespaces = [`${stack}-core`, `${stack}-apps`];
  const podsIn = async () =>
    (await Promise.all(namespaces.map((namespace) => api().core.listNamespacedPod({ namespace })))).flatMap(
      ({ items }) => items,
    );

  it("is admitted as a whole, and every pod finds a node", async () => {
    const { exitCode, all } = await onCluster("up", stack);
    expect({ exitCode, all }).toEqual({ exitCode: 0, all: expect.stringMatching(/^\d+ created$/m) });
    for (const namespace of namespaces) expect(await unready(namespace)).toEqual([]);
    const items = await podsIn();
    for (const [component, count] of Object.entries(servers))
      expect(items.filter(({ metadata }) => new RegExp(`^${component}-\\d$`).test(metadata!.name!))).toHaveLength(
        count,
      );
    for (const { metadata, spec } of items)
      expect({ pod: metadata!.name, simulated: isSimulated(spec!.nodeName ?? realNode) }).toEqual({
        pod: metadata!.name,
        simulated: true,
      });
  });

  it("binds every volume", async () => {
    const claims = await Promise.all(
      namespaces.map((namespace) => api().core.listNamespacedPersistentVolumeClaim({ namespace })),
    );
    const items = claims.flatMap(({ items }) => items);
    // Beside those of MinIO and Kafka: one each for PostgreSQL, Redis, ClickHouse and the web app, three for NoETL.
    expect(items).toHaveLength(servers.minio + servers.kafka + 4 + 3);
    for (const { status } of items) expect(status!.phase).toBe("Bound");
  });

  it("requests no more than its budget", async () => {
    const requests = (await podsIn())
      .filter(({ status }) => status!.phase !== "Succeeded")
      .flatMap(({ spec }) => spec!.containers.map(({ resources }) => resources!.requests!));
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    const cpu = sum(requests.map(({ cpu }) => millicores(cpu!)));
    const memory = sum(requests.map(({ memory }) => bytes(memory!)));
    console.log(`${stack}: ${requests.length} containers, ${cpu / 1000} CPU, ${memory / 2 ** 30} GiB`);
    expect(cpu).toBeLessThanOrEqual(budgets[stack].cpu);
    expect(memory).toBeLessThanOrEqual(budgets[stack].memory);
  });

  it("is not changed by a second run, as its preview says", async () => {
    for (const command of ["preview", "up"]) {
      const { exitCode, all } = await onCluster(command, stack);
      expect({ command, exitCode, all }).toEqual({ command, exitCode: 0, all: expect.stringMatching(unchanged) });
    }
  });

  it("updates only what a changed value affects, as its preview says", async () => {
    const file = stackFile(stack, "redis: { maxMemoryPercent: 50 }");
    for (const [command, word] of [
      ["preview", "update"],
      ["up", "updated"],
    ] as const) {
      const { exitCode, all } = await onCluster(command, stack, ["--config-file", file]);
      expect(exitCode).toBe(0);
      const changes = [...String(all).matchAll(/^ +([+~±-]) (.+?)(?::.*)?$/gm)].map(
        ([, mark, what]) => `${mark} ${what}`,
      );
      expect(changes.sort()).toEqual([
        `~ ${word} ConfigMap ${stack}-core/redis-config`,
        `~ ${word} StatefulSet ${stack}-core/redis`,
      ]);
    }
  });

  it("refuses a smaller volume in the preview, with the key", async () => {
    const file = stackFile(stack, "redis: { storage: { size: 512Mi } }");
    const { exitCode, all } = await onCluster("preview", stack, ["--config-file", file]);
    expect(all).toContain(`stack ${stack}: redis.storage.size: found 512Mi; expected at least `);
    expect(exitCode).toBe(2);
  });

  // Each stack uses the nodes alone, as it would its own cluster.
  if (stack === "test")
    afterAll(async () => {
      await mustRun(["destroy", "--stack", stack]);
    });
});

describe("prod", () => {
  it("spreads MinIO's servers over the nodes", async () => {
    const { items } = await api().core.listNamespacedPod({
      namespace: "prod-core",
      labelSelector: "app.kubernetes.io/name=minio,app.kubernetes.io/component=server",
    });
    expect(new Set(items.map(({ spec }) => spec!.nodeName)).size).toBe(nodes);
  });

  it("refuses to delete protected data in the preview, with the key", async () => {
    const file = stackFile("prod", "clickhouse: { enabled: false }");
    for (const command of ["preview", "up"]) {
      const { exitCode, all } = await onCluster(command, "prod", ["--config-file", file]);
      expect(all).toMatch(/^stack prod: clickhouse: PersistentVolumeClaim \S+: no longer configured, and protected/m);
      expect(exitCode).toBe(2);
    }
  });

  it("is destroyed only after its data protection is switched off", async () => {
    const refused = await onCluster("destroy", "prod");
    expect(refused.exitCode).not.toBe(0);
    expect(refused.all).toContain("global.protectData");
    expect(await unready("prod-core")).toEqual([]);
    const open = stackFile("prod", "global: { protectData: false }");
    expect((await onCluster("up", "prod", ["--config-file", open])).exitCode).toBe(0);
    expect((await onCluster("destroy", "prod")).exitCode).toBe(0);
    const { items } = await api().core.listNamespace();
    expect(items.map(({ metadata }) => metadata!.name).filter((name) => /^(prod|test)-/.test(name!))).toEqual([]);
  });

  it("refuses to use the current context", async () => {
    const { exitCode, all } = await platform(["up", "--stack", "prod"], {
      env: { KUBECONFIG: kubeconfigPath() },
    });
    expect(exitCode).toBe(2);
    expect(all).toContain("kubernetes:context");
  });
});
