// Proves Flink's manifests: state in the bucket, ports, memory, which pods a change rolls, RBAC.
// Does not prove that Flink starts with them: the cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { parseConfig } from "../../config/problems.ts";
import { podOf, rules } from "../../policy/rules/index.ts";
import { permissionProblems, writeProblems } from "../../policy/rules/whole.ts";
import { changed, type Evaluated, evaluated, named } from "./stacks.ts";

const settings = (program: Evaluated, role: string) =>
  parse(named(program, "ConfigMap", `flink-${role}`).data["config.yaml"]) as Record<string, unknown>;

const withToken = ({ objects }: Evaluated) =>
  objects
    .filter((object) => podOf(object)?.spec.automountServiceAccountToken)
    .map(({ metadata }) => metadata.name)
    .sort();

let test: Evaluated;
let prod: Evaluated;
beforeAll(async () => {
  test = await evaluated("test");
  prod = await evaluated("prod");
});

it.each(["jobmanager", "taskmanager"])("the %s has its state in the bucket, and fixed ports", (role) => {
  const all = settings(test, role);
  expect(all).toMatchObject({
    "execution.checkpointing.dir": "s3://flink/checkpoints",
    "execution.checkpointing.savepoint-dir": "s3://flink/savepoints",
    "s3.endpoint": "http://minio.test-core.svc:9000",
    "s3.path.style.access": true,
    "jobmanager.rpc.port": 6123,
    "blob.server.port": 6124,
    "metrics.reporter.prom.port": 9249,
    "metrics.internal.query-service.port": 6125,
  });
  expect(all[`${role}.memory.process.size`]).toBe(role === "jobmanager" ? "1024m" : "1280m");
});

it.each(["jobmanager", "taskmanager"])("the %s has only references to the bucket's keys", (role) => {
  const [container] = named(test, "Deployment", `flink-${role}`).spec.template.spec.containers;
  for (const [name, key] of [
    ["AWS_ACCESS_KEY_ID", "access-key"],
    ["AWS_SECRET_ACCESS_KEY", "secret-key"],
  ])
    expect(container.env).toContainEqual({ name, valueFrom: { secretKeyRef: { name: "minio-platform", key } } });
  expect(Object.keys(settings(test, role)).filter((key) => /(access|secret)[.-]key/.test(key))).toEqual([]);
});

describe("the Iceberg catalog", () => {
  const catalogs = (program: Evaluated) => named(program, "ConfigMap", "flink-catalogs").data;

  it("is available to every session, without a password in the file", () => {
    expect(Object.keys(catalogs(test))).toEqual(["lakehouse.yaml"]);
    expect(parse(catalogs(test)["lakehouse.yaml"])).toEqual({
      type: "iceberg",
      "catalog-type": "rest",
      uri: "http://nessie.test-core.svc:19120/iceberg",
      warehouse: "lakehouse",
      "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
      "s3.endpoint": "http://minio.test-core.svc:9000",
      "s3.path-style-access": "true",
      "client.region": "us-east-1",
    });
    for (const role of ["jobmanager", "taskmanager"]) {
      const path = settings(test, role)["table.catalog-store.file.path"];
      const { containers, volumes } = named(test, "Deployment", `flink-${role}`).spec.template.spec;
      expect(containers[0].volumeMounts).toContainEqual({ name: "catalogs", mountPath: path });
      expect(volumes).toContainEqual(
        expect.objectContaining({ name: "catalogs", configMap: expect.objectContaining({ name: "flink-catalogs" }) }),
      );
    }
  });

  it("is missing without Nessie", async () => {
    const changes = "{ nessie: { enabled: false }, trino: { enabled: false }, spark: { enabled: false } }";
    expect(catalogs(await evaluated("test", { changes }))).toEqual({});
  });
});

describe("a change", () => {
  it("of the TaskManagers' slots rolls only the TaskManagers", async () => {
    const after = await evaluated("test", { changes: "flink: { taskManager: { slots: 4 } }" });
    expect(changed(test, after)).toEqual(["ConfigMap flink-taskmanager", "Deployment flink-taskmanager"]);
  });

  it("of the JobManager's memory rolls only the JobManager", async () => {
    const limits = "{ requests: { memory: 2Gi }, limits: { memory: 2Gi } }";
    const after = await evaluated("test", { changes: `flink: { jobManager: { resources: ${limits} } }` });
    expect(changed(test, after)).toEqual(["ConfigMap flink-jobmanager", "Deployment flink-jobmanager"]);
  });
});

it.each([
  ["jobManager", "512Mi", "768Mi"],
  ["taskManager", "768Mi", "1Gi"],
])("refuses less memory for the %s than Flink needs", (role, memory, least) => {
  const resources = { requests: { memory }, limits: { memory } };
  expect(() => parseConfig("unit", { flink: { [role]: { resources } } })).toThrow(
    `flink.${role}.resources.limits.memory: found "${memory}"; expected at least ${least}: Flink takes most of that for itself`,
  );
});

describe("one JobManager", () => {
  it("has no rights in the Kubernetes API", () => {
    expect(named(test, "Role", "flink")).toBeUndefined();
    expect(withToken(test)).toEqual(["deployd"]);
    expect(settings(test, "jobmanager")).not.toHaveProperty(["high-availability.type"]);
  });
});

describe("several JobManagers", () => {
  it("elect a leader in ConfigMaps, and keep their jobs in the bucket", () => {
    for (const role of ["jobmanager", "taskmanager"])
      expect(settings(prod, role)).toMatchObject({
        "high-availability.type": "kubernetes",
        "high-availability.storageDir": "s3://flink/high-availability",
        "high-availability.jobmanager.port": 6123,
        "kubernetes.namespace": "prod-flink",
        "kubernetes.cluster-id": "flink",
      });
    const [container] = named(prod, "Deployment", "flink-jobmanager").spec.template.spec.containers;
    expect(container.args).toContain("jobmanager.rpc.address=$(POD_IP)");
  });

  it("may write the ConfigMaps of a namespace of their own; TaskManagers only read them", () => {
    expect(withToken(prod)).toEqual(["deployd", "flink-jobmanager", "flink-taskmanager"]);
    const reading = ["get", "list", "watch"];
    for (const [name, component, verbs] of [
      ["flink", "jobmanager", [...reading, "create", "update", "patch", "delete"]],
      ["flink-taskmanager", "taskmanager", reading],
    ] as const) {
      const { rules: allowed, metadata } = named(prod, "Role", name);
      expect(metadata.namespace).toBe("prod-flink");
      expect(allowed).toEqual([{ apiGroups: [""], resources: ["configmaps"], verbs }]);
      expect(named(prod, "RoleBinding", name)).toMatchObject({
        metadata: { namespace: "prod-flink" },
        roleRef: { name },
        subjects: [{ kind: "ServiceAccount", name, namespace: "prod-apps" }],
      });
      expect(named(prod, "Deployment", `flink-${component}`).spec.template.spec.serviceAccountName).toBe(name);
    }
    const there = prod.objects.filter(({ metadata }) => metadata.namespace === "prod-flink");
    expect(new Set(there.map(({ kind }) => kind))).toEqual(new Set(["Role", "RoleBinding"]));
  });

  it.each([
    ["both use one that the stack names", { name: "theirs" }, "theirs", "theirs", []],
    [
      "have two if the stack names one for TaskManagers",
      { name: "theirs", roles: { taskmanager: { name: "readers" } } },
      "theirs",
      "readers",
      [],
    ],
    [
      "have the platform's for JobManagers alone, with its Role",
      { roles: { taskmanager: { name: "readers" } } },
      "flink",
      "readers",
      ["ServiceAccount flink", "Role flink", "RoleBinding flink"],
    ],
  ])("%s", async (_, serviceAccount, jobManagers, taskManagers, made) => {
    for (const stack of ["test", "prod"]) {
      const program = await evaluated(stack, { changes: stringify({ flink: { serviceAccount } }) });
      const account = (role: string) =>
        named(program, "Deployment", `flink-${role}`).spec.template.spec.serviceAccountName;
      expect([account("jobmanager"), account("taskmanager")]).toEqual([jobManagers, taskManagers]);
      const found = program.objects
        .filter(({ kind, metadata }) => /^(ServiceAccount|Role.*)$/.test(kind) && metadata.name.startsWith("flink"))
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      // One JobManager has no rights, so it has an account alone.
      expect(found.sort()).toEqual(made.filter((one) => stack === "prod" || one.startsWith("Service")).sort());
    }
  });

  it("fail the policy with rights to other components' ConfigMaps", () => {
    const moved = prod.objects.map((object) =>
      object.kind === "Role" && object.metadata.name.startsWith("flink")
        ? { ...object, metadata: { ...object.metadata, namespace: "prod-apps" } }
        : object,
    );
    expect(writeProblems(moved)).toContain(
      "Role prod-apps/flink allows changes of ConfigMap prod-apps/airflow-dags, which is another component's",
    );
    expect(writeProblems(moved).filter((one) => one.includes("flink-taskmanager allows"))).toEqual([]);
  });

  it("fail the policy with a token without a reason, or without a Role", () => {
    const pod = structuredClone(named(prod, "Deployment", "flink-jobmanager"));
    pod.spec.template.metadata.annotations = {};
    expect(rules.isolated!(pod)).toEqual([
      "the service account's token is mounted, and no annotation data-platform/talks-to-api says why",
    ]);
    const unbound = prod.objects.filter(
      ({ kind, metadata }) => kind !== "RoleBinding" || !metadata.name.startsWith("flink"),
    );
    expect(permissionProblems(unbound)).toEqual([
      "Deployment prod-apps/flink-jobmanager has a token that opens nothing",
      "Deployment prod-apps/flink-taskmanager has a token that opens nothing",
    ]);
  });
});

it("each process has a disk of the size that the stack says, and rolls for it", async () => {
  const after = await evaluated("test", { changes: "flink: { scratch: 40Gi }" });
  expect(changed(await evaluated("test"), after)).toEqual([
    "Deployment flink-jobmanager",
    "Deployment flink-taskmanager",
  ]);
  expect(named(after, "Deployment", "flink-taskmanager").spec.template.spec.volumes).toContainEqual({
    name: "tmp",
    emptyDir: { sizeLimit: "40Gi" },
  });
});
