// Proves what a repository may not declare, the message of each refusal, and that the cluster gets no request before that.
// Does not prove that the list of refusals is complete: 86-deployd-hostile attacks a real cluster.
import { expect, it } from "vitest";
import { parse } from "yaml";
import { admit } from "../src/admission.ts";
import type { KubeObject } from "../src/kube.ts";
import { parseSettings } from "../src/settings.ts";
import { FakeCluster } from "./fake-cluster.ts";

const settings = (more = "") =>
  parseSettings(`repositories: [{ name: a/b, url: "https://example.com/a/b.git", namespace: apps ${more} }]`)[0]!;
const object = (apiVersion: string, kind: string, name: string, more = {}): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name },
  ...more,
});
const message = async (objects: KubeObject[], more = "", cluster = new FakeCluster()) =>
  admit(cluster, objects, settings(more)).then(
    () => "",
    (error: Error) => error.message,
  );

it.each([
  ["v1", "ConfigMap", ".."],
  ["v1", "ConfigMap", "."],
  ["v1", "ConfigMap", ""],
  ["v1", "ConfigMap", "a/b"],
  ["v1", "ConfigMap", "a%2fb"],
  ["v1", "ConfigMap", "a#b"],
  ["v1", "ConfigMap", "a?b"],
  ["v1", "ConfigMap", "a b"],
  ["v1", "ConfigMap", "A"],
  ["v1", "ConfigMap", "-a"],
  ["v1", "ConfigMap", "a..b"],
  ["v1", "ConfigMap", "a\n"],
  ["v1", "ConfigMap", "a".repeat(254)],
  ["v1#", "ConfigMap", "a"],
  ["v1?x=", "ConfigMap", "a"],
  ["../v1", "ConfigMap", "a"],
  ["a/b/c", "ConfigMap", "a"],
  ["/v1", "ConfigMap", "a"],
  ["apps/", "ConfigMap", "a"],
  ["apps/..", "ConfigMap", "a"],
  ["", "ConfigMap", "a"],
  ["v1", "Config/Map", "a"],
  ["v1", "..", "a"],
  ["rbac.authorization.k8s.io/v1", "Role", ".."],
  ["rbac.authorization.k8s.io/v1", "Role", "a/b"],
])("refuses %j %j %j before it asks the cluster", async (apiVersion, kind, name) => {
  const cluster = new FakeCluster();
  cluster.get = async () => Promise.reject(new Error("was asked"));
  const said = await message([object("v1", "ConfigMap", "good"), object(apiVersion, kind, name)], "", cluster);
  expect(said).toMatch(/: found (apiVersion|kind|name) ".*"; expected/);
  expect(said).not.toContain("\n");
});

it.each([
  ["v1", "ConfigMap", "a.b-c.1"],
  ["apps/v1beta1", "Deployment", "0"],
  ["postgresql.cnpg.io/v1", "Cluster", "a"],
  ["rbac.authorization.k8s.io/v1", "Role", "system:A_b"],
])("takes %j %j %j", async (apiVersion, kind, name) => {
  expect(await message([object(apiVersion, kind, name)])).toBe("");
});

it.each(["deployd", "deployd-config", "deployd-record-0123456789", "deployd-webhook"])(
  "keeps the name %s for deployd itself",
  async (name) => {
    for (const kind of ["ConfigMap", "ServiceAccount", "Service"])
      expect(await message([object("v1", kind, name)])).toBe(
        `${kind} ${name}: the name deployd and names that begin with deployd- are deployd's own`,
      );
  },
);

/** A pod's fields in each kind that has pods. */
const workloads = (pod: object): KubeObject[] => [
  object("apps/v1", "Deployment", "w", { spec: { template: { spec: pod } } }),
  object("apps/v1", "StatefulSet", "w", { spec: { template: { spec: pod } } }),
  object("apps/v1", "DaemonSet", "w", { spec: { template: { spec: pod } } }),
  object("batch/v1", "Job", "w", { spec: { template: { spec: pod } } }),
  object("batch/v1", "CronJob", "w", { spec: { jobTemplate: { spec: { template: { spec: pod } } } } }),
  object("v1", "Pod", "w", { spec: pod }),
];

it.each(["serviceAccountName", "serviceAccount"])("refuses pods whose %s is not the repository's", async (field) => {
  for (const workload of workloads({ [field]: "flink" })) {
    expect(await message([workload])).toBe(
      `${workload.kind} w runs as ServiceAccount flink, which this repository does not declare: declare it, or add it to serviceAccounts in deployd's configuration`,
    );
    expect(await message([workload], ", serviceAccounts: [flink]")).toBe("");
    expect(await message([object("v1", "ServiceAccount", "flink"), workload])).toBe("");
    // Another group's kind of that name gives no right to the account.
    expect(await message([object("example.com/v1", "ServiceAccount", "flink"), workload])).not.toBe("");
  }
  expect(await message(workloads({ [field]: "default" }))).toBe("");
});

const platforms = (kind: string, name: string, apiVersion = "v1"): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name, labels: { "app.kubernetes.io/part-of": "data-platform" } },
});

it.each([
  ["a volume", "{ volumes: [{ name: v, configMap: { name: theirs } }] }", "ConfigMap"],
  ["a projected volume", "{ volumes: [{ projected: { sources: [{ configMap: { name: theirs } }] } }] }", "ConfigMap"],
  ["a variable", "{ containers: [{ env: [{ valueFrom: { configMapKeyRef: { name: theirs } } }] }] }", "ConfigMap"],
  ["all variables", "{ initContainers: [{ envFrom: [{ configMapRef: { name: theirs } }] }] }", "ConfigMap"],
  ["a claim", "{ volumes: [{ persistentVolumeClaim: { claimName: theirs } }] }", "PersistentVolumeClaim"],
  [
    "a copy of a claim",
    "{ volumes: [{ ephemeral: { volumeClaimTemplate: { spec: { dataSource: { kind: PersistentVolumeClaim, name: theirs } } } } }] }",
    "PersistentVolumeClaim",
  ],
])("refuses pods that use an object of the platform by %s", async (_, pod, kind) => {
  const cluster = new FakeCluster();
  for (const workload of workloads(parse(pod))) {
    expect(await message([workload], "", cluster)).toBe("");
    cluster.objects.set(`${kind} theirs`, platforms(kind, "theirs"));
    expect(await message([workload], "", cluster)).toBe(
      `${workload.kind} w uses ${kind} theirs, which belongs to the platform`,
    );
    cluster.objects.clear();
  }
});

it("refuses a StatefulSet that would take over a claim of the platform's, and a pod that mounts one", async () => {
  const cluster = new FakeCluster();
  cluster.objects.set("StatefulSet noetl-nats", platforms("StatefulSet", "noetl-nats", "apps/v1"));
  // Made by a StatefulSet: without the label.
  cluster.objects.set("PersistentVolumeClaim data-noetl-nats-0", object("v1", "PersistentVolumeClaim", "x"));
  const mine = object("apps/v1", "StatefulSet", "nats", {
    spec: { volumeClaimTemplates: [{ metadata: { name: "data-noetl" } }] },
  });
  expect(await message([mine], "", cluster)).toBe(
    "StatefulSet nats uses PersistentVolumeClaim data-noetl-nats-0, which belongs to the platform",
  );
  const [pod] = workloads({ volumes: [{ persistentVolumeClaim: { claimName: "data-noetl-nats-0" } }] });
  expect(await message([pod!], "", cluster)).toContain("belongs to the platform");
});

it("refuses deployd's own Secrets and records in a pod, and looks at no other Secret", async () => {
  const cluster = new FakeCluster();
  cluster.unsupported.add("Secret");
  const uses = (name: string) =>
    workloads({ volumes: [{ secret: { secretName: name } }], containers: [{ envFrom: [{ secretRef: { name } }] }] });
  expect(await message(uses("deployd-webhook").slice(0, 1), "", cluster)).toBe(
    "Deployment w uses Secret deployd-webhook, which is deployd's own",
  );
  expect(await message(uses("shop-db"), "", cluster)).toBe("");
});

it("does not take labels, selectors and contents for references", async () => {
  const labels = { serviceAccount: "x", secretName: ".." };
  const deployment = object("apps/v1", "Deployment", "w", {
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: {} } },
  });
  expect(await message([deployment, object("v1", "ConfigMap", "m", { data: labels })])).toBe("");
});

it("says what is wrong with every object, up to a number", async () => {
  const objects = Array.from({ length: 10 }, (_, i) => object("v1", "ConfigMap", `deployd-${i}`));
  const said = await message(objects);
  expect(said.match(/are deployd's own/g)).toHaveLength(8);
  expect(said).toMatch(/; and 2 more$/);
});

it("says so where nothing is left to deploy", async () => {
  const cluster = new FakeCluster();
  cluster.unsupported.add("Secret");
  expect(await message([object("v1", "Secret", "s")], ", skipUnsupported: true", cluster)).toBe(
    "nothing that deployd may deploy is declared: Secret s: deployd has no right to get Secret",
  );
});

it("does not take a cluster that is away for a kind that is not supported", async () => {
  const cluster = new FakeCluster();
  cluster.get = async () => Promise.reject(new Error("cannot reach the cluster"));
  expect(await message([object("v1", "ConfigMap", "a")], ", skipUnsupported: true", cluster)).toBe(
    "cannot reach the cluster",
  );
});
