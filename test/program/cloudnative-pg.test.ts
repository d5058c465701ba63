// Proves what an application on CloudNativePG gets instead of the platform's PostgreSQL, the order, and the error of an
// engine that cannot expand the operator's chart.
// Does not prove that the operator accepts it: the cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { imagesOf } from "../../cli/up.ts";
import { keepKinds } from "../../components/cloudnative-pg/index.ts";
import { clusterImage, operatorImage } from "../../components/cloudnative-pg/schema.ts";
import { rules } from "../../policy/rules/index.ts";
import { refuseCharts } from "../../render/stack.ts";
import { changed, type Evaluated, evaluated, named, only } from "./stacks.ts";

const alone = only("postgresql", "polls");
const render = (changes: object = {}, stack = "dev") =>
  evaluated(stack, { changes: JSON.stringify({ ...alone, ...changes }) });
const existing = { cloudnativePg: { enabled: true, operator: "existing" } };
const chart = { cloudnativePg: { enabled: true } };
const onCluster = (fields: object = {}) => ({ polls: { database: "cloudnative-pg", ...fields } });

const cluster = (of: Evaluated, name = "polls-database") => named(of, "Cluster", name);
const manifest = (of: Evaluated, kind: string, name: RegExp) =>
  of.manifests.find(({ object }) => object.kind === kind && name.test(object.metadata.name))!;

let before: Evaluated;
let after: Evaluated;
beforeAll(async () => {
  before = await render();
  after = await render({ ...existing, ...onCluster() });
});

it("an existing operator changes nothing by itself", async () => {
  expect(changed(before, await render(existing))).toEqual([]);
});

describe("polls on its own cluster", () => {
  it("adds the Cluster, and changes only polls", () => {
    expect(changed(before, after)).toEqual(["Cluster polls-database", "Deployment polls", "Job polls-migrate-#"]);
  });

  it("reads the connection from the operator's Secret", () => {
    const { env } = named(after, "Deployment", "polls").spec.template.spec.containers[0];
    const told = env.filter(({ name }: { name: string }) => /^DATABASE_(?!PORT)/.test(name));
    expect(told).toEqual(
      [
        ["DATABASE_HOST", "host"],
        ["DATABASE_NAME", "dbname"],
        ["DATABASE_USER", "username"],
        ["DATABASE_PASSWORD", "password"],
      ].map(([name, key]) => ({ name, valueFrom: { secretKeyRef: { name: "polls-database-app", key } } })),
    );
  });

  it("migrates when the Cluster is ready", () => {
    expect(manifest(after, "Job", /^polls-migrate/).dependsOn).toContain(
      "Cluster.postgresql.cnpg.io dev-apps/polls-database",
    );
    // Pulumi does not await custom resources without the annotation.
    const { inputs } = after.evaluation.resources.find(({ type }) => type.endsWith(":Cluster"))!;
    expect((inputs.metadata as { annotations: object }).annotations).toMatchObject({
      "pulumi.com/waitFor": "condition=Ready",
    });
  });

  it("is one small server, without a PodDisruptionBudget that would block a drain", () => {
    expect(cluster(after).spec).toMatchObject({
      instances: 1,
      imageName: clusterImage,
      enablePDB: false,
      bootstrap: { initdb: { database: "polls", owner: "polls" } },
      postgresql: { parameters: { shared_buffers: "64MB" } },
    });
    expect(cluster(after).spec.postgresql.synchronous).toBeUndefined();
  });

  it("is three in prod, protected, with synchronous replication to one", async () => {
    const prod = await evaluated("prod", { changes: JSON.stringify({ ...existing, ...onCluster() }) });
    expect(cluster(prod).spec).toMatchObject({
      instances: 3,
      enablePDB: true,
      postgresql: { synchronous: { method: "any", number: 1 } },
    });
    const { protect, retainOnDelete } = manifest(prod, "Cluster", /./);
    expect({ protect, retainOnDelete }).toEqual({ protect: true, retainOnDelete: true });
  });

  it("does not need the platform's PostgreSQL", async () => {
    const program = await render({ ...existing, ...onCluster(), postgresql: { enabled: false } });
    expect(cluster(program)).toBeDefined();
  });

  it.each([
    [
      { cpu: "0.5", memory: "1024Mi" },
      { cpu: "500m", memory: "1Gi" },
    ],
    [
      { cpu: "2000m", memory: "1536Mi" },
      { cpu: "2", memory: "1536Mi" },
    ],
    [
      { cpu: "1.5", memory: "2000M" },
      { cpu: "1500m", memory: "2G" },
    ],
  ])("writes quantities as Kubernetes does: %o", async (given, expected) => {
    const resources = { requests: { cpu: given.cpu, memory: "512Mi" }, limits: { memory: given.memory } };
    const { spec } = cluster(await render({ ...existing, ...onCluster({ databaseCluster: { resources } }) }));
    expect(spec.resources.requests.cpu).toBe(expected.cpu);
    // The disk is 512Mi for the log and as much for files.
    expect(spec.resources.limits).toEqual({ memory: expected.memory, "ephemeral-storage": "1Gi" });
  });

  it("uses the configured registry mirror and storage class", async () => {
    const global = { imageRegistry: "registry.example.com/mirror", storageClass: "fast" };
    const { spec } = cluster(await render({ ...existing, ...onCluster(), global }));
    expect(spec.imageName).toBe("registry.example.com/mirror/cloudnative-pg/postgresql:17.11-minimal-trixie");
    expect(spec.storage).toEqual({ size: "1Gi", storageClass: "fast" });
    const own = await render({
      ...existing,
      ...onCluster({ databaseCluster: { storage: { storageClass: "slow" } } }),
      global,
    });
    expect(cluster(own).spec.storage).toEqual({ size: "1Gi", storageClass: "slow" });
  });

  it("is scraped by the platform's Prometheus, or has a PodMonitor for another one", async () => {
    const monitoring = { enabled: true, monitors: { enabled: true } };
    const program = await render({ ...existing, ...onCluster(), monitoring });
    const labels = cluster(program).spec.inheritedMetadata.labels;
    const monitor = named(program, "PodMonitor", "polls-database-postgresql");
    expect(monitor.spec.podMetricsEndpoints[0].port).toBe("metrics");
    expect(labels).toMatchObject(monitor.spec.selector.matchLabels);
    const { scrape_configs } = parse(named(program, "ConfigMap", "prometheus-config").data["prometheus.yml"]);
    const scrape = scrape_configs.find(
      ({ job_name }: { job_name: string }) => job_name === "polls-database-postgresql",
    );
    const [{ namespaces, selectors }] = scrape.kubernetes_sd_configs;
    expect(namespaces.names).toEqual(["dev-apps"]);
    for (const pair of selectors[0].label.split(",")) {
      const [key, value] = pair.split("=");
      expect(labels[key]).toBe(value);
    }
  });
});

it("an application from elsewhere has one too, and no database in PostgreSQL", async () => {
  const shop = { "my-shop": { image: "apps/my-shop:1.2.0", database: "cloudnative-pg" } };
  const program = await render({ ...existing, djangoApps: shop });
  expect(changed(before, program)).toEqual([
    "Cluster django-my-shop-database",
    "Deployment django-my-shop",
    "Job django-my-shop-migrate-#",
    "Secret django-my-shop-admin",
    "Secret django-my-shop-secret-key",
    "Service django-my-shop",
    "ServiceAccount django-my-shop",
  ]);
  const { metadata, spec } = cluster(program, "django-my-shop-database");
  expect(spec.bootstrap.initdb).toMatchObject({ database: "django_my_shop", owner: "django_my_shop" });
  expect(metadata.annotations).toEqual({
    "data-platform/config-key": "djangoApps.my-shop.databaseCluster.storage.size",
  });
});

describe("the rule on clusters", () => {
  const broken = (spec: object) => rules.clusters!({ ...cluster(after), spec: { ...cluster(after).spec, ...spec } });

  it.each<[string, object, string[]]>([
    [
      "an image that moves",
      { imageName: "ghcr.io/cloudnative-pg/postgresql" },
      ["image ghcr.io/cloudnative-pg/postgresql has no version"],
    ],
    ["no sizes", { resources: {} }, ["no CPU request", "no memory request", "no memory limit"]],
    ["a superuser", { enableSuperuserAccess: true }, ["its superuser has a password"]],
    ["Barman", { backup: { barmanObjectStore: {} } }, ["it is backed up by the operator's own Barman"]],
    ["nothing of the kind", {}, []],
  ])("finds %s", (_, spec, problems) => {
    expect(broken(spec)).toEqual(problems);
  });
});

describe("the operator of the stack", () => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await render({ ...chart, ...onCluster() });
  });
  const installed = () => program.evaluation.resources.find(({ type }) => type.endsWith(":Chart"))!;

  it("comes from the chart, in its own restricted namespace, before any cluster", () => {
    const { inputs, options } = installed();
    expect(inputs.chart).toMatch(/\/charts\/cloudnative-pg$/);
    expect(inputs.namespace).toBe("dev-operators");
    const namespace = program.evaluation.resources.find(
      ({ type, name }) => type === "kubernetes:core/v1:Namespace" && name === "operators",
    );
    expect(options.dependencies).toEqual([namespace!.urn]);
    const { metadata } = named(program, "Namespace", "dev-operators");
    expect(metadata.labels!["pod-security.kubernetes.io/enforce"]).toBe("restricted");
    const database = program.evaluation.resources.find(({ type }) => type.endsWith(":Cluster"))!;
    expect(database.options.dependencies).toContain(installed().urn);
  });

  it("has the stack's image and sizes", async () => {
    const of = (evaluation: Evaluated) => {
      const { inputs } = evaluation.evaluation.resources.find(({ type }) => type.endsWith(":Chart"))!;
      return (inputs.values as Record<string, { image: object; resources: object }>)["cloudnative-pg"]!;
    };
    expect(of(program)).toMatchObject({
      image: { repository: "ghcr.io/cloudnative-pg/cloudnative-pg", tag: "1.30.0", pullPolicy: "IfNotPresent" },
      resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "256Mi" } },
    });
    const digest = `sha256:${"0".repeat(64)}`;
    const image = `registry.example.com:8443/cnpg@${digest}`;
    expect(of(await render({ cloudnativePg: { enabled: true, image } })).image).toMatchObject({
      repository: "registry.example.com:8443/cnpg@sha256",
      tag: "0".repeat(64),
    });
    expect(imagesOf(program.evaluation)).toEqual(expect.arrayContaining([operatorImage, clusterImage]));
  });

  it("is placed as the stack says, by the chart's names", async () => {
    const pods = { nodeSelector: { pool: "data" }, labels: { team: "data" }, annotations: { "example.com/a": "b" } };
    const { evaluation } = await render({
      global: { pods: { zones: "preferred" }, priorityClasses: true },
      cloudnativePg: { enabled: true, pods },
    });
    const { inputs } = evaluation.resources.find(({ type }) => type.endsWith(":Chart"))!;
    const { image, imagePullSecrets, resources, ...placed } = (
      inputs.values as Record<string, Record<string, unknown>>
    )["cloudnative-pg"]!;
    expect([image, imagePullSecrets, resources]).not.toContain(undefined);
    expect(placed).toEqual({
      nodeSelector: { pool: "data" },
      priorityClassName: "dev-storage",
      podLabels: { team: "data" },
      podAnnotations: { "example.com/a": "b" },
    });
  });

  it.each([true, false])("protects its CustomResourceDefinitions as the stack protects its volumes: %s", (keep) => {
    const transformed = (kind: string) =>
      keepKinds(keep)({
        type: `kubernetes:x/v1:${kind}`,
        name: "x",
        custom: true,
        props: {},
        opts: { parent: undefined },
      });
    expect(transformed("CustomResourceDefinition")).toEqual({
      props: {},
      opts: { parent: undefined, protect: keep, retainOnDelete: keep },
    });
    expect(transformed("Deployment")).toBeUndefined();
  });

  it("is refused by an engine that cannot expand the chart", () => {
    expect(() => refuseCharts(program.evaluation, "do this")).toThrow(
      /^stack dev: cloudnative-pg: found a Helm chart, which only the Pulumi engine can expand; do this$/,
    );
    expect(() => refuseCharts(after.evaluation, "do this")).not.toThrow();
  });
});
