// Proves that with `global.cluster: openshift` no pod names a user, and that dev and test start and answer under ids that
// an admission policy gives each namespace, in group 0, as OpenShift's constraint restricted-v2 does.
// Does not prove anything on OpenShift itself: its router, SELinux labels, and CRI-O, which adds the id to /etc/passwd.
// Exercises: every component.
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import type { Live } from "../../kube/client.ts";
import type { KubeObject } from "../../render/manifests.ts";
import { logIn, runDag } from "./airflow.ts";
import {
  address,
  bucketKeys,
  get,
  kube,
  leadsToPods,
  mustRun,
  podsOf,
  query,
  read,
  replacePod,
  roomFor,
  runIn,
  s3,
  secret,
  servers,
  stackFile,
  unchanged,
  unready,
  whole,
} from "./kit.ts";
import { application, ended } from "./spark.ts";
import { column, sql } from "./trino.ts";

/** The first id of each namespace's range, which differ as they do on OpenShift. */
const ids: Record<string, number> = {
  "dev-core": 1_000_730_000,
  "dev-apps": 1_000_740_000,
  "test-core": 1_000_750_000,
  "test-apps": 1_000_760_000,
  "test-monitoring": 1_000_770_000,
};
/** A namespace of this file's own, to find out when the policies are in force. */
const probe = { name: "any-user-probe", id: 1_000_780_000 };

const version = "admissionregistration.k8s.io/v1";

/** What restricted-v2 does to a pod of a namespace that names no user. */
const policies = (namespace: string, id: number): KubeObject[] => {
  const name = `any-user-${namespace}`;
  return [
    {
      apiVersion: version,
      kind: "MutatingAdmissionPolicy",
      metadata: { name },
      spec: {
        failurePolicy: "Fail",
        reinvocationPolicy: "Never",
        matchConstraints: {
          namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
          resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
        },
        matchConditions: [
          {
            name: "names-no-user",
            expression: "!has(object.spec.securityContext) || !has(object.spec.securityContext.runAsUser)",
          },
        ],
        mutations: [
          {
            patchType: "ApplyConfiguration",
            applyConfiguration: {
              expression: `Object{spec: Object.spec{securityContext: Object.spec.securityContext{runAsUser: ${id}, fsGroup: ${id}}}}`,
            },
          },
        ],
      },
    },
    {
      apiVersion: version,
      kind: "MutatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: name },
    },
  ];
};

const made: KubeObject[] = [];
async function make(object: KubeObject): Promise<void> {
  // An earlier run may have been killed.
  await kube().apply(object);
  made.push(object);
}

const idOf = ({ spec }: Live): number | undefined => spec.securityContext?.runAsUser;

/** Waits until a pod gets the id: the API server looks for policies with a delay. */
async function inForce(): Promise<void> {
  const pod = (name: string): KubeObject => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: probe.name },
    // Never scheduled.
    spec: { containers: [{ name: "none", image: "none:1" }], schedulingGates: [{ name: "example.com/never" }] },
  });
  await vi.waitFor(
    async () => {
      const live = await kube().create(pod(`probe-${randomBytes(3).toString("hex")}`));
      expect(idOf(live)).toBe(probe.id);
    },
    { timeout: 60_000, interval: 1_000 },
  );
}

beforeAll(async () => {
  if (process.env.TEST_STACK) throw new Error("this file needs stacks of its own: run it without TEST_STACK");
  await roomFor(undefined);
  for (const [namespace, id] of [...Object.entries(ids), [probe.name, probe.id] as const])
    for (const object of policies(namespace, id)) await make(object);
  await make({ apiVersion: "v1", kind: "Namespace", metadata: { name: probe.name } });
  await inForce();
});

afterAll(async () => {
  for (const stack of ["dev", "test"]) await mustRun(["destroy", "--stack", stack]);
  // Bindings before policies.
  for (const object of made.reverse()) await kube().delete(object);
});

/** What holds for every pod of some namespaces, Jobs' included. */
async function expectAnyUser(namespaces: string[]): Promise<void> {
  expect((await Promise.all(namespaces.map(unready))).flat()).toEqual([]);
  for (const namespace of namespaces) {
    const pods = await kube().list("v1", "Pod", namespace);
    expect(pods.length).toBeGreaterThan(0);
    for (const pod of pods) {
      expect({ pod: pod.metadata.name, id: idOf(pod) }).toEqual({ pod: pod.metadata.name, id: ids[namespace] });
      // A group that a pod names would be refused.
      expect(pod.spec.securityContext.runAsGroup, pod.metadata.name).toBeUndefined();
      for (const { securityContext = {} } of [...(pod.spec.initContainers ?? []), ...pod.spec.containers])
        expect(securityContext.runAsUser, pod.metadata.name).toBeUndefined();
    }
  }
  const restarts = (await servers(namespaces)).flatMap(({ metadata, status }) =>
    (status!.containerStatuses as { name: string; restartCount: number }[])
      .filter(({ restartCount }) => restartCount > 0)
      .map(({ name, restartCount }) => `${metadata.name} ${name}: ${restartCount}`),
  );
  expect(restarts).toEqual([]);
}

/** The status of a GET request to a Service's port, by the port's name or the first. */
async function status(service: string, namespace: string, path: string, port?: string): Promise<number> {
  const { spec } = (await get("Service", service, namespace))!;
  const ports = spec.ports as { name: string; port: number }[];
  const number = (ports.find(({ name }) => name === port) ?? ports[0])!.port;
  await leadsToPods(service, number, namespace);
  return new Promise((answered, failed) => {
    // By its name: Django answers to its own names alone.
    const asked = request({ host: spec.clusterIP, port: number, path, headers: { host: service } }, (response) => {
      response.resume();
      answered(response.statusCode ?? 0);
    });
    asked.on("error", failed).end();
  });
}

/** Writes to each server of the core, and reads it back. */
function core(namespace: string): void {
  it("PostgreSQL stores a row, and finds its superuser at its own socket", async () => {
    const statements = "CREATE TABLE IF NOT EXISTS any_user (id int); INSERT INTO any_user VALUES (1); TABLE any_user";
    const printed = await runIn("postgresql-0", namespace, "postgresql", [
      "sh",
      "-c",
      `id -u; id -un; psql -U postgres -qAtc '${statements} LIMIT 1; DROP TABLE any_user'`,
    ]);
    expect(printed.trim().split("\n")).toEqual([String(ids[namespace]), "postgres", "1"]);
  });

  it("Redis and MinIO store and return a value", async () => {
    const { password } = await secret("redis-admin", namespace);
    const redis = new Redis({ host: await address("redis", namespace), password });
    await redis.set("any-user", "kept");
    expect(await redis.get("any-user")).toBe("kept");
    redis.disconnect();
    const keys = await bucketKeys("nessie", namespace);
    const client = await s3(keys.accessKey, keys.secretKey, await address("minio", namespace));
    await client.putObject("lakehouse", "any-user", "kept");
    expect(await read(client, "lakehouse", "any-user")).toBe("kept");
    await client.removeObject("lakehouse", "any-user");
  });

  it("Nessie answers from its database", async () => {
    expect(await status("nessie", namespace, "/api/v2/trees", "http")).toBe(200);
  });
}

/** Requests to each application. */
function applications(namespace: string): void {
  it.each([
    ["polls", "/healthz", "http"],
    ["noetl", "/api/health", "http"],
    ["deployd", "/healthz", "http"],
  ])("%s answers", async (service, path, port) => {
    expect(await status(service, namespace, path, port)).toBe(200);
  });

  it("the web app's worker computes a job", async () => {
    const service = `app-${namespace.replace("-apps", "")}-service-flask`;
    await leadsToPods(service, 5000, namespace);
    const url = `http://${await address(service, namespace)}:5000`;
    const job = await fetch(`${url}/jobs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ kind: "statistics", values: [1, 2, 6] }),
    });
    const { id } = (await job.json()) as { id: string };
    await vi.waitFor(
      async () => {
        const { results } = (await (await fetch(`${url}/jobs/${id}/results`)).json()) as { results?: { mean: number } };
        expect(results?.mean).toBe(3);
      },
      { timeout: 60_000, interval: 500 },
    );
  });
}

describe("dev", () => {
  const namespaces = ["dev-core", "dev-apps"];
  const up = () =>
    mustRun(["up", "--stack", "dev", "--config-file", stackFile("dev", "global: { cluster: openshift }")]);

  beforeAll(async () => {
    await up();
  });

  it("is ready under ids that no pod names, and nothing has restarted", () => expectAnyUser(namespaces));
  it("has nothing left to do", async () => {
    expect(await up()).toMatch(unchanged);
  });
  core("dev-core");
  applications("dev-apps");

  it("PostgreSQL starts again on its data", async () => {
    await replacePod("postgresql-0", "dev-core");
    const { password = "" } = await secret("postgresql-user-nessie", "dev-core");
    await leadsToPods("postgresql", 5432, "dev-core");
    expect(await query("nessie", password, "SELECT current_user AS me")).toEqual([{ me: "nessie" }]);
  });
});

describe("test", () => {
  const namespaces = Object.values(whole);

  beforeAll(async () => {
    await mustRun(["destroy", "--stack", "dev"]);
    // Without the front door, which needs a certificate on another cluster than the embedded one.
    const values = {
      global: { cluster: "openshift", separateUsers: true },
      redis: { cache: { enabled: true } },
      monitoring: { enabled: true, grafana: { enabled: false } },
    };
    await mustRun(["up", "--stack", "test", "--config-file", stackFile("test", stringify(values))]);
  });

  it("is ready under ids that no pod names, and nothing has restarted", () => expectAnyUser(namespaces));
  core(whole.core);
  applications(whole.apps);

  it("Kafka's tools and the schema registry, which keeps its data there, answer", async () => {
    const tool = (name: string, ...args: string[]) =>
      runIn("kafka-0", whole.apps, "kafka", [
        `/opt/kafka/bin/${name}.sh`,
        "--bootstrap-server",
        "localhost:9094",
        ...["--command-config", "/etc/kafka-login/client.properties"],
        ...args,
      ]);
    await tool("kafka-topics", "--create", "--if-not-exists", "--topic", "any-user");
    expect(await tool("kafka-topics", "--list")).toMatch(/^any-user$/m);
    expect(await status("schema-registry", whole.apps, "/apis/ccompat/v7/subjects", "http")).toBe(200);
  });

  it("Trino creates an Iceberg table, and Flink reads and writes it", async () => {
    const schema = `any_user_${randomBytes(3).toString("hex")}`;
    await sql(`CREATE SCHEMA iceberg.${schema}`);
    await sql(`CREATE TABLE iceberg.${schema}.numbers AS SELECT * FROM (VALUES BIGINT '1', BIGINT '2') AS t (n)`);
    const [pod = ""] = await podsOf("flink", "jobmanager", whole.apps);
    const statements = `
SET 'parallelism.default' = '1';
SET 'execution.runtime-mode' = 'batch';
SET 'table.dml-sync' = 'true';
INSERT INTO lakehouse.${schema}.numbers SELECT n + 10 FROM lakehouse.${schema}.numbers;
`;
    const script =
      'printf %s "$1" > /tmp/any-user.sql; JVM_ARGS="-Xmx128m -Duser.home=/tmp" /opt/flink/bin/sql-client.sh -f /tmp/any-user.sql';
    const said = await runIn(pod, whole.apps, "jobmanager", ["bash", "-c", script, "say", statements]);
    expect(await column(`SELECT sum(n) FROM iceberg.${schema}.numbers`), said).toEqual([26]);
    await sql(`DROP TABLE iceberg.${schema}.numbers`);
    await sql(`DROP SCHEMA iceberg.${schema}`);
  }, 240_000);

  it("Spark's workers run the application of docs/spark.md", async () => {
    const name = `any-user-${randomBytes(3).toString("hex")}`;
    for (const object of await application(name)) await make(object);
    expect(await ended(name)).toContain("sum: 500500\n");
  }, 320_000);

  it("Airflow runs a DAG in its workers", async () => {
    await logIn();
    await runDag("hello");
  }, 240_000);

  it.each([
    ["superset", whole.apps, "/health", "http"],
    ["prometheus", whole.monitoring, "/-/ready", "http"],
  ])("%s answers", async (service, namespace, path, port) => {
    expect(await status(service, namespace, path, port)).toBe(200);
  });

  it("ClickHouse answers a query", async () => {
    const { password = "" } = await secret("clickhouse-admin", whole.apps);
    const answer = await fetch(`http://${await address("clickhouse", whole.apps)}:8123/?query=SELECT%201%2B1`, {
      headers: { "X-ClickHouse-User": "platform", "X-ClickHouse-Key": password },
    });
    expect((await answer.text()).trim()).toBe("2");
  });
});
