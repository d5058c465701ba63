// Proves what the chart makes of a cluster that it looks into: passwords are generated once and kept by every upgrade, a
// rotation changes those of one component alone, and final values are refused. The cluster is a server with objects of
// an earlier render.
// Does not prove that Helm applies the objects.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import type { KubeObject } from "../../render/manifests.ts";
import { helm as helmBinary } from "./helm.ts";
import { writeChart } from "./write-chart.ts";

/** The kinds that the chart has, by their API. */
const kinds: Record<string, [kind: string, name: string, namespaced: boolean][]> = {
  "/api/v1": [
    ["Namespace", "namespaces", false],
    ["Secret", "secrets", true],
    ["ConfigMap", "configmaps", true],
    ["Service", "services", true],
    ["ServiceAccount", "serviceaccounts", true],
    ["PersistentVolumeClaim", "persistentvolumeclaims", true],
  ],
  "/apis/apps/v1": [
    ["StatefulSet", "statefulsets", true],
    ["Deployment", "deployments", true],
  ],
  "/apis/batch/v1": [
    ["Job", "jobs", true],
    ["CronJob", "cronjobs", true],
  ],
  "/apis/policy/v1": [["PodDisruptionBudget", "poddisruptionbudgets", true]],
  "/apis/rbac.authorization.k8s.io/v1": [
    ["Role", "roles", true],
    ["RoleBinding", "rolebindings", true],
  ],
};
const groups = Object.keys(kinds)
  .filter((path) => path.startsWith("/apis/"))
  .map((path) => path.slice("/apis/".length))
  .map((groupVersion) => ({ name: groupVersion.replace("/v1", ""), versions: [{ groupVersion, version: "v1" }] }));

/** The objects of the cluster, by their paths. */
const cluster = new Map<string, unknown>();

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "", "http://cluster");
  const resources = kinds[pathname]?.map(([kind, name, namespaced]) => ({ kind, name, namespaced, verbs: ["get"] }));
  const answers: Record<string, unknown> = {
    "/version": { major: "1", minor: "33", gitVersion: "v1.33.0" },
    "/api": { kind: "APIVersions", versions: ["v1"] },
    "/apis": { kind: "APIGroupList", groups },
  };
  const found =
    answers[pathname] ??
    (resources && { kind: "APIResourceList", groupVersion: pathname.replace(/^\/apis?\//, ""), resources }) ??
    cluster.get(pathname);
  const missing = { kind: "Status", status: "Failure", reason: "NotFound", code: 404, message: "not found" };
  response.writeHead(found ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(found ?? missing));
});

let folder: string;
let helm: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "chart-"));
  helm = await helmBinary();
  await writeChart(join(folder, "chart"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  writeFileSync(
    join(folder, "kubeconfig"),
    JSON.stringify({
      "current-context": "one",
      clusters: [{ name: "one", cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name: "one", user: {} }],
      contexts: [{ name: "one", context: { cluster: "one", user: "one" } }],
    }),
  );
}, 900_000);
afterAll(() => {
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  cluster.clear();
  cluster.set("/api/v1/namespaces/kube-system", { apiVersion: "v1", kind: "Namespace" });
});

/** What the chart makes for the cluster as it is. */
async function render(given: object = {}): Promise<KubeObject[]> {
  const { stdout } = await execa(
    helm,
    [
      "template",
      "dev",
      join(folder, "chart"),
      "--dry-run=server",
      "--disable-openapi-validation",
      "--is-upgrade",
      "--skip-tests",
      "--values",
      "-",
    ],
    { input: JSON.stringify(given), env: { KUBECONFIG: join(folder, "kubeconfig") } },
  );
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
}

/** Puts objects into the cluster as the API stores them. */
function store(objects: KubeObject[]): void {
  for (const object of objects)
    for (const [base, of] of Object.entries(kinds))
      for (const [kind, plural] of of)
        if (kind === object.kind) {
          const { namespace, name } = object.metadata;
          const { stringData, ...rest } = object as KubeObject & { stringData?: Record<string, string> };
          const data = Object.entries(stringData ?? {}).map(([key, value]) => [
            key,
            Buffer.from(value).toString("base64"),
          ]);
          cluster.set(`${base}/${namespace ? `namespaces/${namespace}/` : ""}${plural}/${name}`, {
            ...rest,
            ...(stringData && { data: Object.fromEntries(data) }),
          });
        }
}

const secrets = (objects: KubeObject[]) =>
  Object.fromEntries(
    objects
      .filter(({ kind }) => kind === "Secret")
      .map(({ metadata, stringData }) => [`${metadata.namespace}/${metadata.name}`, stringData as object]),
  );

/** Names of the objects that differ. */
const changed = (before: KubeObject[], after: KubeObject[]): string[] => {
  const titles = (all: KubeObject[]) =>
    new Map(all.map((object) => [`${object.kind} ${object.metadata.name}`, JSON.stringify(object)]));
  const [old, fresh] = [titles(before), titles(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])].filter((title) => old.get(title) !== fresh.get(title)).sort();
};

it("keeps every password at an upgrade, and changes nothing else", { timeout: 300_000 }, async () => {
  const installed = await render();
  expect(Object.keys(secrets(installed)).length).toBeGreaterThan(30);
  store(installed);
  for (let upgrade = 0; upgrade < 3; upgrade++) expect(changed(installed, await render())).toEqual([]);
  const scaled = await render({ nessie: { replicas: 2 } });
  expect(changed(installed, scaled)).toEqual(["Deployment nessie", "PodDisruptionBudget nessie"]);
});

it("generates others at another install", { timeout: 300_000 }, async () => {
  const [one, other] = [secrets(await render()), secrets(await render())];
  expect(one["dev-core/redis-admin"]).not.toEqual(other["dev-core/redis-admin"]);
});

it("keeps the passwords that Pulumi generated, whose Secrets have no rotation", { timeout: 300_000 }, async () => {
  const installed = await render();
  store(
    installed.map(
      ({ metadata: { annotations: _, ...metadata }, ...object }) => ({ ...object, metadata }) as KubeObject,
    ),
  );
  expect(secrets(await render())).toEqual(secrets(installed));
});

it("rotates the passwords of one component, and restarts what uses them", { timeout: 300_000 }, async () => {
  const installed = await render();
  store(installed);
  const rotated = await render({ redis: { auth: { rotation: 2 } } });
  const differ = changed(installed, rotated);
  expect(differ.filter((title) => title.startsWith("Secret"))).toEqual(["Secret redis-admin"]);
  expect(differ).toEqual(expect.arrayContaining(["Deployment airflow-worker", "StatefulSet redis"]));
  expect(differ).not.toContain("StatefulSet postgresql");
  const { "dev-core/redis-admin": own, "dev-apps/redis-admin": copy } = secrets(rotated);
  expect(own).toEqual(copy);
  // The next upgrade keeps it.
  store(rotated);
  expect(changed(rotated, await render({ redis: { auth: { rotation: 2 } } }))).toEqual([]);
});

it("generates the password of a new application, and keeps the others", { timeout: 300_000 }, async () => {
  const installed = await render();
  store(installed);
  const { "dev-core/postgresql-user-django-shop": made, ...others } = secrets(
    await render({ djangoApps: { shop: { image: "team/shop:1.2.0" } } }),
  );
  expect(made).toEqual({ username: "django_shop", password: expect.stringMatching(/^[A-Za-z0-9]{32}$/) });
  expect(others).toMatchObject(secrets(installed));
});

it.each([
  [
    { redis: { storage: { size: "1Gi" } } },
    "redis.storage.size: found 1Gi; expected at least 5Gi, the size of the volume",
  ],
  [{ kafka: { replicas: 3 } }, "kafka.replicas: found 3; expected 1, the number that exists"],
])("refuses %j on volumes that exist", { timeout: 300_000 }, async (given, sentence) => {
  store(await render());
  await expect(render(given)).rejects.toThrow(sentence);
});
