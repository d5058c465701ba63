// Proves that a namespace's quota follows from what runs in it, with room for the old pods of an update, that keys replace
// and switch it off, and that each container may use the disk of its scratch volumes.
// Does not prove that a cluster admits an update: that takes one.
import { describe, expect, it } from "vitest";
import { quotaOf, Usage, whileUpdating } from "../../components/kit/usage.ts";
import { bytes, millicores } from "../../config/quantity.ts";
import { containersIn, type KubernetesObject, podOf } from "../../policy/rules/object.ts";
import { type Evaluated, evaluated, named, only, stacks } from "./stacks.ts";

const find = ({ objects }: Evaluated, kind: string, namespace: string) =>
  objects.find((one) => one.kind === kind && one.metadata.namespace === namespace);

/** How many pods of an object there may be at once. */
const most = ({ kind, spec }: KubernetesObject): number =>
  kind === "Deployment" ? (spec.strategy.type === "Recreate" ? 1 : 2) * spec.replicas : (spec.replicas ?? 1);

/** What Kubernetes counts for a namespace if all its pods run, during an update of all Deployments at once. */
function counted({ objects }: Evaluated, namespace: string) {
  const own = objects.filter(({ metadata }) => metadata.namespace === namespace);
  const total = { cpu: 0, memory: 0, storage: 0, pods: 0 };
  for (const object of own) {
    if (object.kind === "PersistentVolumeClaim") total.storage += bytes(object.spec.resources.requests.storage);
    const pod = podOf(object);
    if (!pod) continue;
    const request = (of: (requests: Record<string, string>) => number) =>
      Math.max(
        pod.spec.containers.reduce((sum: number, one: KubernetesObject) => sum + of(one.resources.requests), 0),
        ...(pod.spec.initContainers ?? []).map((one: KubernetesObject) => of(one.resources.requests)),
      );
    const count = most(object);
    total.pods += count;
    total.cpu += count * request(({ cpu = "" }) => millicores(cpu));
    total.memory += count * request(({ memory = "" }) => bytes(memory));
  }
  return total;
}

describe("prod", () => {
  it.each(["prod-core", "prod-apps", "prod-monitoring"])(
    "has a quota for %s with room for an update of all",
    async (name) => {
      const program = await evaluated("prod", { changes: "monitoring: { enabled: true }" });
      const { hard } = find(program, "ResourceQuota", name)?.spec ?? {};
      const needed = counted(program, name);
      for (const [used, quota] of [
        [needed.cpu, millicores(hard["requests.cpu"])],
        [needed.memory, bytes(hard["requests.memory"])],
        [needed.storage, bytes(hard["requests.storage"])],
      ] as const) {
        expect(quota).toBeGreaterThanOrEqual(used);
        // Not so much that it limits nothing.
        expect(quota).toBeLessThan(used * 1.1 + 2 ** 30);
      }
      expect(Number(hard.pods)).toBe(Math.ceil(needed.pods * 1.1) + 5);
    },
  );

  it("has limits that admit every container of its own, and give the others a default", async () => {
    const program = await evaluated("prod");
    for (const namespace of ["prod-core", "prod-apps"]) {
      const [limits] = find(program, "LimitRange", namespace)?.spec.limits ?? [];
      const own = program.objects.filter(({ metadata }) => metadata.namespace === namespace).flatMap(containersIn);
      const largest = Math.max(...own.map(({ resources }) => bytes(resources.limits.memory)));
      expect(bytes(limits.max.memory)).toBe(largest);
      expect(bytes(limits.default.memory)).toBeLessThanOrEqual(largest);
      // A quota of CPU and memory refuses a pod that requests none.
      expect(Object.keys(limits.defaultRequest).sort()).toEqual(["cpu", "ephemeral-storage", "memory"]);
    }
  });

  it("has them before every other object", async () => {
    const { manifests } = await evaluated("prod");
    const redis = manifests.find(({ key }) => key === "StatefulSet.apps prod-core/redis");
    expect(redis?.dependsOn).toEqual(
      expect.arrayContaining(["ResourceQuota prod-core/quota", "LimitRange prod-core/limits"]),
    );
  });

  it("grows with a component, an autoscaler and a volume", async () => {
    const quota = async (changes: string) =>
      find(await evaluated("prod", { changes }), "ResourceQuota", "prod-apps")?.spec.hard;
    const before = await quota("{}");
    const after = await quota(
      "trino: { worker: { replicas: 2, autoscale: { min: 2, max: 9 } } }\nkafka: { storage: { size: 99Gi } }",
    );
    expect(Number(after.pods) - Number(before.pods)).toBeGreaterThanOrEqual(2 * 7);
    expect(bytes(after["requests.storage"])).toBeGreaterThan(bytes(before["requests.storage"]) + 3 * bytes("80Gi"));
  });

  it("counts the servers of a database that an operator makes, and the operator", async () => {
    const changes = "cloudnativePg: { enabled: true }\npolls: { database: cloudnative-pg }";
    const [before, after] = [await evaluated("prod"), await evaluated("prod", { changes })];
    const pods = (program: Evaluated) => Number(find(program, "ResourceQuota", "prod-apps")?.spec.hard.pods);
    expect(pods(after) - pods(before)).toBeGreaterThanOrEqual(4);
    expect(find(after, "ResourceQuota", "prod-operators")?.spec.hard.pods).toBe("8");
  });

  it("takes single numbers and a LimitRange from the configuration", async () => {
    const changes = "namespaces: { core: { quota: { cpu: 7 }, limitRange: { memory: 1Gi, cpu: 10m } } }";
    const [before, after] = [await evaluated("prod"), await evaluated("prod", { changes })];
    const hard = (program: Evaluated) => find(program, "ResourceQuota", "prod-core")?.spec.hard;
    expect(hard(after)).toEqual({ ...hard(before), "requests.cpu": "7" });
    expect(find(after, "LimitRange", "prod-core")?.spec.limits).toEqual([
      { type: "Container", default: { memory: "1Gi" }, defaultRequest: { cpu: "10m", memory: "1Gi" } },
    ]);
  });

  it("has only the configured ones with quotas: false, and none for a namespace that exists", async () => {
    const off = await evaluated("prod", { changes: "global: { quotas: false }" });
    const kinds = (program: Evaluated) =>
      program.objects
        .filter(({ kind }) => kind === "ResourceQuota" || kind === "LimitRange")
        .map(({ metadata }) => metadata.namespace);
    expect(new Set(kinds(off))).toEqual(new Set(["prod-deployed"]));
    const existing = await evaluated("prod", { changes: "namespaces: { core: { create: false } }" });
    expect(kinds(existing)).not.toContain("prod-core");
    expect(kinds(existing)).toContain("prod-apps");
  });
});

describe("the sum", () => {
  const one = (cpu: string, memory: string) => ({ requests: { cpu, memory }, limits: { memory } });

  it("takes the larger of the containers together and each init container", async () => {
    const usage = new Usage();
    usage.pods("a", 2, {
      containers: [one("1", "1Gi"), one("500m", "1Gi")],
      init: [one("100m", "4Gi"), one("1", "1Mi")],
    });
    usage.volumes("a", 1, "3Gi");
    usage.complete();
    const total = await new Promise((resolve) => usage.total("a").apply(resolve));
    expect(total).toEqual({ cpu: 3000, memory: bytes("8Gi"), storage: bytes("3Gi"), pods: 2, largest: bytes("4Gi") });
  });

  it("counts old pods beside new ones, unless all old ones stop first", () => {
    expect(whileUpdating(3, undefined)).toBe(6);
    expect(whileUpdating(3, "surge")).toBe(6);
    expect(whileUpdating(1, "recreate")).toBe(1);
  });

  it("is a tenth more, in whole units", () => {
    const total = { cpu: 1900, memory: bytes("1900Mi"), storage: 0, pods: 3, largest: 0 };
    expect(quotaOf(total)).toEqual({
      "requests.cpu": "3",
      "requests.memory": "3Gi",
      "requests.storage": "0Gi",
      pods: "9",
    });
  });
});

describe.each(stacks)("disk in %s", (stack) => {
  it("each container may fill its scratch volumes and write a log, and requests an eighth of that", async () => {
    const { objects } = await evaluated(stack);
    const sizes = (pod: { volumes?: KubernetesObject[] }) =>
      new Map(
        (pod.volumes ?? []).flatMap(({ name, emptyDir }) =>
          emptyDir && emptyDir.medium !== "Memory" ? [[name as string, bytes(emptyDir.sizeLimit)] as const] : [],
        ),
      );
    for (const object of objects) {
      const pod = podOf(object);
      if (!pod) continue;
      const scratch = sizes(pod.spec);
      const limit = (one: KubernetesObject) => bytes(one.resources.limits["ephemeral-storage"]);
      for (const one of containersIn(object)) {
        const mine = (one.volumeMounts ?? []).reduce(
          (sum: number, { name }: { name: string }) => sum + (scratch.get(name) ?? 0),
          0,
        );
        expect(limit(one), `${object.metadata.name} ${one.name}`).toBeGreaterThanOrEqual(mine + bytes("256Mi"));
        expect(bytes(one.resources.requests["ephemeral-storage"])).toBe(Math.floor(limit(one) / 8 / 2 ** 20) * 2 ** 20);
      }
      // The kubelet evicts a pod whose volumes and logs together exceed the limits of its containers.
      const all = pod.spec.containers.reduce((sum: number, one: KubernetesObject) => sum + limit(one), 0);
      expect(all, object.metadata.name).toBeGreaterThanOrEqual(
        [...scratch.values()].reduce((a, b) => a + b, bytes("256Mi")),
      );
    }
  });
});

it("a scratch volume in memory counts as no disk, and one that the stack sizes does", async () => {
  const program = await evaluated("test", {
    changes: JSON.stringify({
      ...only("postgresql", "minio", "nessie", "spark", "redis"),
      spark: { worker: { scratch: "7Gi" } },
    }),
  });
  const limit = (kind: string, name: string) =>
    containersIn(named(program, kind, name))[0].resources.limits["ephemeral-storage"];
  expect(limit("StatefulSet", "redis")).toBe("512Mi");
  expect(limit("Deployment", "spark-worker")).toBe(`${512 + 7 * 1024 + 256}Mi`);
});
