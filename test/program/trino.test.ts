// Proves Trino's manifests: files, memory, catalogs, how a worker drains, and which pods a change rolls.
// Does not prove that Trino starts with them: the cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import { changed, type Evaluated, evaluated, evaluatedWithSecrets, named } from "./stacks.ts";

const files = (program: Evaluated, name: string) =>
  named(program, "ConfigMap", `trino-${name}`).data as Record<string, string>;

const number = (file: string | undefined, pattern: RegExp) => Number(pattern.exec(file ?? "")![1]);

let test: Evaluated;
beforeAll(async () => {
  test = await evaluatedWithSecrets("test");
});

describe.each(["test", "prod"])("in stack %s", (stack) => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await evaluated(stack);
  });

  it.each(["coordinator", "worker"])("the %s has all its files, and memory that fits", (role) => {
    const all = files(program, role);
    for (const file of ["node.properties", "jvm.config", "config.properties", "log.properties"])
      expect(Object.keys(all)).toContain(file);
    const { resources, volumeMounts } = named(program, "Deployment", `trino-${role}`).spec.template.spec.containers[0];
    const mounts = (volumeMounts as { mountPath: string }[]).map(({ mountPath }) => mountPath);
    expect(mounts).toEqual(expect.arrayContaining(["/etc/trino", "/etc/trino/catalog"]));
    const limit = Number.parseInt(resources.limits.memory, 10) * (resources.limits.memory.endsWith("Gi") ? 1024 : 1);
    const heap = number(all["jvm.config"], /-Xmx(\d+)M/);
    expect(heap).toBeLessThan(limit * 0.7);
    const perQuery = number(all["config.properties"], /query.max-memory-per-node=(\d+)MB/);
    const headroom = number(all["config.properties"], /memory.heap-headroom-per-node=(\d+)MB/);
    expect(perQuery + headroom).toBeLessThan(heap * 0.7);
  });
});

it("has a catalog for each data source in the stack", async () => {
  expect(Object.keys(files(test, "catalogs")).sort()).toEqual(
    ["clickhouse", "iceberg", "kafka", "postgresql", "tpch"].map((name) => `${name}.properties`),
  );
  const without = await evaluated("test", {
    changes: "{ clickhouse: { enabled: false }, kafka: { enabled: false }, schemaRegistry: { enabled: false } }",
  });
  expect(Object.keys(files(without, "catalogs")).sort()).toEqual(
    ["iceberg", "postgresql", "tpch"].map((name) => `${name}.properties`),
  );
  const { env } = named(without, "Deployment", "trino-worker").spec.template.spec.containers[0];
  expect(JSON.stringify(env)).not.toContain("CLICKHOUSE");
});

it("reads every variable in its files from a Secret", () => {
  for (const role of ["coordinator", "worker"]) {
    const { env } = named(test, "Deployment", `trino-${role}`).spec.template.spec.containers[0];
    const given = (env as { name: string; valueFrom?: object }[]).filter(({ valueFrom }) => valueFrom);
    const text = JSON.stringify([files(test, role), files(test, "catalogs")]);
    const wanted = [...text.matchAll(/\$\{ENV:(\w+)\}/g)].map(([, name]) => name);
    expect(given.map(({ name }) => name)).toEqual(
      expect.arrayContaining(wanted.filter((name) => name !== "HOSTNAME") as string[]),
    );
    expect(text).not.toMatch(/(password|secret(-key)?|access-key)=(?!\$\{ENV:)/);
  }
});

it("coordinator and workers have one shared secret", () => {
  const secrets = ["coordinator", "worker"].map((role) =>
    named(test, "Deployment", `trino-${role}`).spec.template.spec.containers[0].env.find(
      ({ name }: { name: string }) => name === "SHARED_SECRET",
    ),
  );
  expect(secrets[0]).toEqual(secrets[1]);
  expect(secrets[0].valueFrom.secretKeyRef).toEqual({ name: "trino-internal", key: "shared-secret" });
});

it("gives a worker time to drain, and evicts one worker at a time", async () => {
  const long = await evaluated("test", { changes: "trino: { worker: { drain: 3600 } }" });
  const { terminationGracePeriodSeconds, containers } = named(long, "Deployment", "trino-worker").spec.template.spec;
  expect(terminationGracePeriodSeconds).toBeGreaterThan(3600);
  expect(containers[0].lifecycle.preStop.exec.command.join(" ")).toContain("SHUTTING_DOWN");
  expect(changed(await evaluated("test"), long)).toEqual(["Deployment trino-worker"]);
  expect(named(long, "PodDisruptionBudget", "trino-worker").spec.maxUnavailable).toBe(1);
});

it("rolls nothing else when one of its settings changes", async () => {
  const before = await evaluated("test");
  const topics = await evaluated("test", { changes: "trino: { kafkaTopics: [orders] }" });
  expect(changed(before, topics)).toEqual([
    "ConfigMap trino-catalogs",
    "Deployment trino-coordinator",
    "Deployment trino-worker",
  ]);
  expect(files(topics, "catalogs")["kafka.properties"]).toContain("kafka.table-names=orders\n");
  const more = await evaluated("test", { changes: "trino: { worker: { replicas: 3 } }" });
  // More workers do not interrupt running queries.
  expect(changed(before, more)).toEqual(["Deployment trino-worker"]);
});

it("only the coordinator accepts forwarded requests of a proxy", () => {
  const forwarded = /^http-server.process-forwarded=true$/m;
  expect(files(test, "coordinator")["config.properties"]).toMatch(forwarded);
  expect(files(test, "worker")["config.properties"]).not.toMatch(forwarded);
});

describe("a catalog of the stack", () => {
  const changes = `
trino:
  env:
    SALES_PASSWORD: { secretKeyRef: { name: sales, key: password } }
  catalogs:
    sales:
      connector.name: postgresql
      connection-url: "jdbc:postgresql://sales.example.com:5432/sales"
      connection-user: reader
      connection-password: "\${ENV:SALES_PASSWORD}"`;

  it("is a file beside the platform's, and its password a variable from a Secret", async () => {
    const program = await evaluatedWithSecrets("test", changes);
    expect(files(program, "catalogs")["sales.properties"]).toBe(
      [
        `connection-password=\${ENV:SALES_PASSWORD}`,
        "connection-url=jdbc:postgresql://sales.example.com:5432/sales",
        "connection-user=reader",
        "connector.name=postgresql",
        "",
      ].join("\n"),
    );
    for (const role of ["coordinator", "worker"]) {
      const { env } = named(program, "Deployment", `trino-${role}`).spec.template.spec.containers[0];
      expect(env).toContainEqual({
        name: "SALES_PASSWORD",
        valueFrom: { secretKeyRef: { name: "sales", key: "password" } },
      });
    }
    expect(changed(test, program)).toEqual([
      "ConfigMap trino-catalogs",
      "Deployment trino-coordinator",
      "Deployment trino-worker",
    ]);
  });
});

it("resource groups are files of the coordinator, and roll it alone", async () => {
  const groups = {
    rootGroups: [{ name: "all", hardConcurrencyLimit: 5, maxQueued: 100, softMemoryLimit: "80%" }],
    selectors: [{ group: "all" }],
  };
  const program = await evaluatedWithSecrets("test", JSON.stringify({ trino: { resourceGroups: groups } }));
  expect(JSON.parse(files(program, "coordinator")["resource-groups.json"] ?? "")).toEqual(groups);
  expect(files(program, "coordinator")["resource-groups.properties"]).toContain(
    "resource-groups.config-file=/etc/trino/resource-groups.json\n",
  );
  expect(changed(test, program)).toEqual(["ConfigMap trino-coordinator", "Deployment trino-coordinator"]);
});

it("spilling fills a volume of its own, and never all of it: a full one would evict the worker", async () => {
  const program = await evaluatedWithSecrets("test", "trino: { worker: { spill: 10Gi } }");
  for (const role of ["coordinator", "worker"])
    expect(files(program, role)["config.properties"]).toMatch(
      /^spill-enabled=true\nspiller-spill-path=\/data\/trino\/spill\n# .*\nmax-spill-per-node=9216MB\n# .*\nspiller-max-used-space-threshold=1.0\n/m,
    );
  const { volumes, containers } = named(program, "Deployment", "trino-worker").spec.template.spec;
  expect(volumes).toContainEqual({ name: "spill", emptyDir: { sizeLimit: "10Gi" } });
  expect(containers[0].volumeMounts).toContainEqual({ name: "spill", mountPath: "/data/trino/spill" });
});

it("a catalog's cache of files has room on the workers alone", async () => {
  const cache = "{ fs.cache.enabled: true, fs.cache.directories: /data/trino/cache, fs.cache.max-sizes: 40GB }";
  const program = await evaluatedWithSecrets(
    "test",
    `trino: { worker: { scratch: 50Gi }, catalogs: { iceberg: ${cache} } }`,
  );
  const volumesOf = (role: string) => named(program, "Deployment", `trino-${role}`).spec.template.spec.volumes;
  expect(volumesOf("worker")).toContainEqual({ name: "data", emptyDir: { sizeLimit: "50Gi" } });
  expect(volumesOf("coordinator")).toContainEqual({ name: "data", emptyDir: { sizeLimit: "1Gi" } });
  const catalog = (named(program, "ConfigMap", "trino-catalogs").data as Record<string, string>)["iceberg.properties"];
  expect(catalog).toContain("fs.cache.directories=/data/trino/cache\n");
});

it("what is retried has a bucket of its own, which both roles know", async () => {
  const program = await evaluatedWithSecrets("test", "trino: { faultTolerance: task }");
  for (const role of ["coordinator", "worker"]) {
    expect(files(program, role)["config.properties"]).toContain("\nretry-policy=TASK\n");
    expect(files(program, role)["exchange-manager.properties"]).toContain(
      "exchange.base-directories=s3://trino/exchange\n",
    );
  }
  const policy = (named(program, "ConfigMap", "minio-policy").data as Record<string, string>)["policy.json"];
  expect(policy).toContain("arn:aws:s3:::trino/*");
  expect(files(test, "worker")["exchange-manager.properties"]).toBeUndefined();
});
