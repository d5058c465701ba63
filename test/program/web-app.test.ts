// Proves for the web app's manifests: names and labels, what a change rolls, and that two environments share nothing.
// Does not prove that the software starts with them: the cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import { podOf } from "../../policy/rules/index.ts";
import { changed, type Evaluated, evaluated, evaluatedWithSecrets, named, without } from "./stacks.ts";

const of = ({ objects }: Evaluated) => objects.filter(({ metadata }) => metadata.name.startsWith("app-"));
const list = (program: Evaluated) => of(program).map(({ kind, metadata }) => `${kind} ${metadata.name}`);

const everything = "webApp: { service: { type: NodePort }, ingress: { host: jobs.example.com }, debug: true }";
let test: Evaluated;
beforeAll(async () => {
  test = await evaluatedWithSecrets("test", everything);
});

const environment = (name: string) => [
  `ConfigMap app-${name}-config-redis`,
  `CronJob app-${name}-cronjob-backup`,
  `CronJob app-${name}-cronjob-restore`,
  `Deployment app-${name}-deployment-debug`,
  `Deployment app-${name}-deployment-flask`,
  `Deployment app-${name}-deployment-redis`,
  `Deployment app-${name}-deployment-worker`,
  `Ingress app-${name}-ingress-flask`,
  `PersistentVolumeClaim app-${name}-pvc-redis`,
  `Secret app-${name}-secret-redis`,
  `Service app-${name}-service-flask`,
  `Service app-${name}-service-nodeport-flask`,
  `Service app-${name}-service-redis`,
  `ServiceAccount app-${name}`,
];

it("names its objects by environment, kind and role", async () => {
  expect(list(test).sort()).toEqual(environment("test"));
  const renamed = await evaluated("dev", { changes: `webApp: { environment: staging }` });
  expect(list(renamed)).toContain("Deployment app-staging-deployment-flask");
});

it("labels them by app, environment and role, and the pods too", () => {
  for (const { metadata } of of(test)) expect(metadata.labels).toMatchObject({ app: "web-app", environment: "test" });
  for (const role of ["flask", "redis", "worker"]) {
    const deployment = named(test, "Deployment", `app-test-deployment-${role}`);
    expect(deployment.metadata.labels).toMatchObject({ role });
    expect(podOf(deployment)!.labels).toMatchObject({ app: "web-app", environment: "test", role });
  }
});

it("has by default no Ingress, no NodePort and no debug pod", async () => {
  const prod = list(await evaluated("prod"));
  const optional = /ingress|nodeport|debug/;
  expect(prod).toEqual(
    expect.arrayContaining(
      environment("prod").filter((one) => !optional.test(one) && !one.startsWith("ServiceAccount")),
    ),
  );
  expect(prod.filter((one) => optional.test(one))).toEqual([]);
});

it("serves the API by Ingress and by NodePort", () => {
  const { rules } = named(test, "Ingress", "app-test-ingress-flask").spec;
  expect(rules[0].host).toBe("jobs.example.com");
  expect(rules[0].http.paths[0].backend.service).toEqual({ name: "app-test-service-flask", port: { name: "http" } });
  const types = ["flask", "nodeport-flask"].map((one) => named(test, "Service", `app-test-service-${one}`).spec.type);
  expect(types).toEqual(["ClusterIP", "NodePort"]);
});

it("has no backups if the stack has no MinIO", async () => {
  const program = await evaluated("test", { changes: JSON.stringify(without("minio")) });
  expect(list(program).filter((one) => one.startsWith("CronJob"))).toEqual([]);
});

it("test and prod share no object and no secret", async () => {
  const prod = await evaluatedWithSecrets("prod", everything);
  expect(list(prod).filter((one) => list(test).includes(one))).toEqual([]);
  const places = (program: Evaluated) => new Set(of(program).map(({ metadata }) => metadata.namespace));
  expect([...places(test), ...places(prod)]).toEqual(["test-apps", "prod-apps"]);
  // Seeded by each stack's name: equal values would mean that both have the same secret.
  const password = (program: Evaluated, stack: string) =>
    named(program, "Secret", `app-${stack}-secret-redis`).stringData.password;
  expect(password(prod, "prod")).not.toBe(password(test, "test"));
});

describe("a change", () => {
  const change = async (changes: string) =>
    changed(await evaluatedWithSecrets("dev"), await evaluatedWithSecrets("dev", changes));

  it("of the version rolls API and worker, not Redis", async () => {
    const pods = (await change('webApp: { image: "data-platform/web-app:1.0.1" }')).filter((one) =>
      one.startsWith("Deployment"),
    );
    expect(pods).toEqual(["Deployment app-dev-deployment-flask", "Deployment app-dev-deployment-worker"]);
  });

  it("of Redis' memory rolls only Redis", async () => {
    expect(await change("webApp: { redis: { resources: { limits: { memory: 256Mi } } } }")).toEqual([
      "ConfigMap app-dev-config-redis",
      "CronJob app-dev-cronjob-restore",
      "Deployment app-dev-deployment-redis",
    ]);
  });

  it("of the number of backups changes only the CronJob", async () => {
    expect(await change("webApp: { backup: { keep: 3 } }")).toEqual(["CronJob app-dev-cronjob-backup"]);
  });
});

it("Redis' old pod stops before the new one mounts the volume", () => {
  expect(named(test, "Deployment", "app-test-deployment-redis").spec.strategy).toEqual({ type: "Recreate" });
});

it("never restores on a schedule", () => {
  expect(named(test, "CronJob", "app-test-cronjob-restore").spec.suspend).toBe(true);
  expect(named(test, "CronJob", "app-test-cronjob-backup").spec).toMatchObject({
    suspend: false,
    schedule: "17 3 * * *",
    concurrencyPolicy: "Forbid",
  });
});
