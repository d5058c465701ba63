// Proves for each stack's rendered objects: they keep every rule, refer to existing objects, stay within the budget,
// and hold secrets only in Secrets.
// Does not prove that an API server accepts them: the cluster tests do.
import { beforeAll, describe, expect, it } from "vitest";
import { type KubernetesObject, podOf, rules } from "../../policy/rules/index.ts";
import {
  duplicateNames,
  leavingProblems,
  permissionProblems,
  portProblems,
  referenceProblems,
  selectorProblems,
  templatesStorage,
  totals,
  writeProblems,
} from "../../policy/rules/whole.ts";
import { budgets } from "../budgets.ts";
import { changed, type Evaluated, evaluated, evaluatedWithSecrets, stacks } from "./stacks.ts";

const monitored = "monitoring: { enabled: true }";
const closed = "global: { networkPolicies: { enabled: true } }";
const open = ["nessie", "trino", "flink", "spark", "noetl", "prometheus", "webApp", "deployd"];
const doors = JSON.stringify({
  global: { domain: "data.localhost" },
  frontDoor: Object.fromEntries(open.map((page) => [page, { allowWithoutLogin: true }])),
  monitoring: { enabled: true },
});
const logins = JSON.stringify({
  global: { domain: "data.localhost" },
  frontDoor: { login: { issuer: "https://id.example.com", existingSecret: "oidc" } },
});
const separate = "{ global: { separateUsers: true }, redis: { cache: { enabled: true } } }";
const clustered = "{ polls: { database: cloudnative-pg }, cloudnativePg: { enabled: true, operator: existing } }";

describe.each([
  ...stacks.map((stack) => [stack, {}] as const),
  ["test", { with: monitored }],
  ["prod", { with: monitored }],
  ["dev", { with: clustered }],
  ["prod", { with: clustered }],
  ["test", { with: closed }],
  ["test", { with: doors }],
  ["test", { with: logins }],
  ["test", { with: separate }],
] as const)("stack %s %o", (stack, changes: { with?: string }) => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await evaluatedWithSecrets(stack, changes.with);
  });

  it.each(Object.entries(rules))("keeps the rule %s", (_, rule) => {
    const problems = program.objects.flatMap((object) =>
      rule(object).map((problem) => `${object.kind} ${object.metadata.name}: ${problem}`),
    );
    expect(problems).toEqual([]);
  });

  it.each([
    ["names are unique", duplicateNames],
    ["selectors match exactly their own pods", selectorProblems],
    ["Services route to existing ports", portProblems],
    ["servers stop only after their endpoints are removed", leavingProblems],
    ["pods refer to existing objects", referenceProblems],
    ["every token has a Role in its own namespaces, without wildcards", permissionProblems],
    ["no service account may change other components' data, or run pods beside their Secrets", writeProblems],
  ])("%s", (_, problems) => {
    // That Secret is the user's.
    expect(problems(program.objects).filter((one) => !one.includes("needs Secret oidc,"))).toEqual([]);
  });

  // prod uses its whole budget; monitoring and CloudNativePG's servers are added to it.
  it.skipIf(stack === "prod" && changes.with)("stays within its budget", () => {
    const { cpu, memory, storage } = totals(program.objects);
    expect(cpu).toBeLessThanOrEqual(budgets[stack].cpu);
    expect(memory).toBeLessThanOrEqual(budgets[stack].memory);
    expect(storage + templatesStorage(program.objects)).toBeLessThanOrEqual(budgets[stack].storage);
  });

  it("enforces Pod Security restricted in every namespace", () => {
    const namespaces = program.objects.filter(({ kind }) => kind === "Namespace");
    expect(namespaces.length).toBeGreaterThanOrEqual(2);
    for (const { metadata } of namespaces)
      expect(metadata.labels?.["pod-security.kubernetes.io/enforce"]).toBe("restricted");
    const names = namespaces.map(({ metadata }) => metadata.name);
    // Those two belong to the whole cluster.
    for (const { kind, metadata } of program.objects)
      if (kind !== "Namespace" && kind !== "PriorityClass") expect(names).toContain(metadata.namespace);
  });

  it("mounts a token only for deployd, Prometheus, and Flink with several JobManagers", () => {
    const withToken = program.objects.filter((object) => podOf(object)?.spec.automountServiceAccountToken);
    expect(withToken.map(({ metadata }) => metadata.name).sort()).toEqual([
      "deployd",
      ...(stack === "prod" ? ["flink-jobmanager", "flink-taskmanager"] : []),
      ...(changes.with === monitored || changes.with === doors ? ["prometheus"] : []),
    ]);
  });

  it("holds secrets only in Secrets, and none in its outputs", () => {
    const values = program.objects
      .filter(({ kind }) => kind === "Secret")
      .flatMap(({ stringData }) => Object.values(stringData));
    const secrets = (values as string[]).filter((value) => value.length === 32);
    expect(secrets.length).toBeGreaterThanOrEqual(7);
    const elsewhere = JSON.stringify([
      program.objects.filter(({ kind }) => kind !== "Secret"),
      program.evaluation.outputs,
      program.evaluation.resources.filter(({ custom }) => !custom),
    ]);
    for (const secret of secrets) expect(elsewhere.includes(secret)).toBe(false);
    // The engine's mark: a secret is encrypted in the state and hidden in a preview.
    for (const { type, name, secrets: marked } of program.evaluation.resources)
      expect({ name, marked }).toEqual({ name, marked: type === "kubernetes:core/v1:Secret" ? ["stringData"] : [] });
  });

  it("protects and retains objects with data, only in prod", () => {
    const keep = stack === "prod";
    for (const { object, protect, retainOnDelete } of program.manifests) {
      const holdsData =
        ["Namespace", "PersistentVolumeClaim", "Cluster"].includes(object.kind) &&
        object.metadata.name !== "prod-flink";
      expect({ name: object.metadata.name, protect, retainOnDelete }).toEqual({
        name: object.metadata.name,
        protect: holdsData && keep,
        retainOnDelete: holdsData && keep,
      });
    }
  });
});

const named = ({ objects }: Evaluated, kind: string, name: string) =>
  objects.find((object) => object.kind === kind && object.metadata.name.startsWith(name)) as KubernetesObject;

describe("a change", () => {
  const dev = (changes: string) => evaluated("dev", { changes });
  let before: Evaluated;
  beforeAll(async () => {
    before = await dev("{}");
  });

  it("of nothing changes nothing", async () => {
    expect(changed(before, await dev("{}"))).toEqual([]);
  });

  it("of one component's setting rolls only that component", async () => {
    expect(changed(before, await dev("postgresql: { maxConnections: 50 }"))).toEqual([
      "ConfigMap postgresql-config",
      "StatefulSet postgresql",
    ]);
    expect(changed(before, await dev("redis: { maxMemoryPercent: 50 }"))).toEqual([
      "ConfigMap redis-config",
      "StatefulSet redis",
    ]);
  });

  it("of a volume's size changes only the volume", async () => {
    expect(changed(before, await dev("minio: { storage: { size: 9Gi } }"))).toEqual([
      "PersistentVolumeClaim data-minio-0",
    ]);
  });

  it("of the list of databases adds a Secret and a Job", async () => {
    expect(changed(before, await dev("postgresql: { databases: [sales] }"))).toEqual([
      "Job postgresql-users-#",
      "Secret postgresql-user-sales",
    ]);
  });

  it("of the list of buckets runs the Job again", async () => {
    expect(changed(before, await dev("minio: { buckets: [sales] }"))).toEqual([
      "ConfigMap minio-policy",
      "Job minio-buckets-#",
    ]);
  });

  it("of a rotation generates new passwords, rolls the pods that read them at start, and runs the Job that sets them", async () => {
    const with1 = await evaluatedWithSecrets("dev");
    const { seeded } = await import("../../render/evaluate.ts");
    const with2 = await evaluated("dev", {
      changes: "minio: { auth: { rotation: 2 } }",
      random: seeded("a test's seed"),
    });
    expect(changed(with1, with2)).toEqual([
      "Deployment nessie",
      "Job minio-buckets-#",
      "Secret minio-admin",
      "Secret minio-platform",
      // The applications' copy.
      "Secret minio-platform",
      "StatefulSet minio",
    ]);
  });

  it("to an existing Secret refers to it and creates none", async () => {
    const after = await dev("redis: { auth: { existingSecret: my-redis } }");
    expect(named(after, "Secret", "redis-admin")).toBeUndefined();
    expect(named(after, "StatefulSet", "redis").spec.template.spec.containers[0].env).toContainEqual({
      name: "PASSWORD",
      valueFrom: { secretKeyRef: { name: "my-redis", key: "password" } },
    });
  });

  it("of the registry changes every image", async () => {
    const after = await dev("global: { imageRegistry: registry.example.com/mirror }");
    const images = JSON.stringify(after.objects).match(/"image":"[^"]+"/g)!;
    expect(images.length).toBeGreaterThan(4);
    for (const image of images) expect(image).toMatch(/^"image":"registry\.example\.com\/mirror\//);
  });

  it("of `enabled` removes the component", async () => {
    const after = await dev("redis: { enabled: false }");
    const left = after.objects.filter(({ metadata }) => /^(data-)?redis/.test(metadata.name));
    expect(left).toEqual([]);
  });

  it("of quota and limits is applied before anything else", async () => {
    const after = await dev("namespaces: { core: { quota: { memory: 4Gi }, limitRange: { memory: 1Gi, cpu: 100m } } }");
    expect(named(after, "ResourceQuota", "quota").spec.hard).toEqual({ "requests.memory": "4Gi" });
    const redis = after.manifests.find(({ key }) => key === "StatefulSet.apps dev-core/redis")!;
    expect(redis.dependsOn).toContain("ResourceQuota dev-core/quota");
    expect(redis.dependsOn).toContain("LimitRange dev-core/limits");
  });

  it("to PostgreSQL 18 moves the mount one directory up", async () => {
    const container = (program: Evaluated) =>
      named(program, "StatefulSet", "postgresql").spec.template.spec.containers[0];
    const after = await dev('postgresql: { image: "postgres:18.1" }');
    expect(container(before).volumeMounts[0].mountPath).toBe("/var/lib/postgresql/data");
    expect(container(after).volumeMounts[0].mountPath).toBe("/var/lib/postgresql");
    expect(container(after).command).toEqual([
      "/usr/lib/postgresql/18/bin/postgres",
      "-D",
      "/var/lib/postgresql/18/docker",
    ]);
  });
});
