// Proves what Django applications' objects say without a cluster: what a change of each thing rolls, how people reach
// them on which cluster, and that a migration comes before what needs it. That they run so, the cluster tests prove.
import { beforeAll, describe, expect, it } from "vitest";
import { seeded } from "../../engine/evaluate.ts";
import { changed, type Evaluated, evaluated, named } from "./stacks.ts";

/** Nothing but what is looked at: it makes the program quick. */
const alone = Object.fromEntries(["redis", "minio", "nessie"].map((part) => [part, { enabled: false }]));
const render = (changes: object = {}) =>
  evaluated("dev", { changes: JSON.stringify({ ...alone, ...changes }), random: seeded("a test's seed") });
const shop = (fields: object = {}) => ({ djangoApps: { "my-shop": { image: "apps/my-shop:1.2.0", ...fields } } });

// biome-ignore lint/suspicious/noExplicitAny: an object's fields as plain data
const container = (object: any) => object.spec.template.spec.containers[0];
const variable = (object: unknown, name: string) =>
  container(object).env.find((one: { name: string }) => one.name === name)?.value;

let before: Evaluated;
beforeAll(async () => {
  before = await render();
});

describe("a change", () => {
  it("of the image migrates and rolls the web server", async () => {
    expect(changed(before, await render({ polls: { image: "data-platform/polls:1.0.1" } }))).toEqual(
      expect.arrayContaining(["Deployment polls", "Job polls-migrate-#"]),
    );
  });

  it("of the number of processes rolls the web server and migrates nothing", async () => {
    expect(changed(before, await render({ polls: { workers: 2 } }))).toEqual(["Deployment polls"]);
  });

  it("of the rotation gives the administrator a new password and rolls no pod; the key stays", async () => {
    expect(changed(before, await render({ polls: { auth: { rotation: 2 } } }))).toEqual([
      "Job polls-migrate-#",
      "Secret polls-admin",
    ]);
  });
});

describe("an application from elsewhere", () => {
  it("adds a database of its own, and changes nothing of polls", async () => {
    expect(changed(before, await render(shop()))).toEqual([
      "Deployment django-my-shop",
      "Job django-my-shop-migrate-#",
      "Job postgresql-users-#",
      "Secret django-my-shop-admin",
      "Secret django-my-shop-secret-key",
      "Secret postgresql-user-django-my-shop",
      "Secret postgresql-user-django-my-shop",
      "Service django-my-shop",
      "ServiceAccount django-my-shop",
    ]);
  });

  it("is served as it says", async () => {
    const program = await render(shop({ application: "shop.wsgi", healthPath: "/up" }));
    const web = container(named(program, "Deployment", "django-my-shop"));
    expect(web.command.at(-2)).toContain('exec gunicorn --bind "$any:8000" "$@"');
    expect(web.args[0]).toBe("shop.wsgi");
    expect([web.startupProbe, web.readinessProbe].map((probe) => probe.httpGet.path)).toEqual(["/up", "/up"]);
    expect(variable(named(program, "Deployment", "django-my-shop"), "DATABASE_NAME")).toBe("django_my_shop");
  });
});

it("the migration comes before the web server, and that before its Service", () => {
  const deployment = before.manifests.find(
    ({ object }) => object.kind === "Deployment" && object.metadata.name === "polls",
  )!;
  const job = before.manifests.find(({ object }) => object.metadata.name.startsWith("polls-migrate-"))!;
  const service = before.manifests.find(({ object }) => object.kind === "Service" && object.metadata.name === "polls")!;
  expect(deployment.dependsOn).toContain(job.key);
  expect(service.dependsOn).toContain(deployment.key);
});

it("a new pod comes before an old one goes", () => {
  expect(named(before, "Deployment", "polls").spec.strategy.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
});

it("the web server does not know the administrator's password", () => {
  const names = container(named(before, "Deployment", "polls")).env.map((one: { name: string }) => one.name);
  expect(names.filter((name: string) => name.includes("SUPERUSER"))).toEqual([]);
  expect(names).toContain("SECRET_KEY");
});

describe("people reach it", () => {
  it.each([
    ["plain", "ClusterIP"],
    ["kind", "NodePort"],
    ["embedded", "NodePort"],
    ["eks", "LoadBalancer"],
    ["aks", "LoadBalancer"],
    ["gke", "LoadBalancer"],
  ])("on %s by a %s", async (cluster, type) => {
    const program = await render({ global: { cluster } });
    expect(named(program, "Service", "polls").spec.type).toBe(type);
  });

  it("as the stack says, wherever it is", async () => {
    const program = await render({ global: { cluster: "eks" }, polls: { service: { type: "ClusterIP" } } });
    expect(named(program, "Service", "polls").spec.type).toBe("ClusterIP");
  });

  it("by no Ingress without a host", () => {
    expect(before.objects.filter(({ kind }) => kind === "Ingress")).toEqual([]);
  });

  it("by an Ingress where it has a host, which it then answers to", async () => {
    const ingress = { host: "polls.example.com", className: "nginx", tlsSecret: "polls-cert" };
    const program = await render({ polls: { ingress } });
    expect(named(program, "Ingress", "polls").spec).toEqual({
      ingressClassName: "nginx",
      tls: [{ hosts: ["polls.example.com"], secretName: "polls-cert" }],
      rules: [
        {
          host: "polls.example.com",
          http: {
            paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "polls", port: { name: "http" } } } }],
          },
        },
      ],
    });
    const web = named(program, "Deployment", "polls");
    expect(variable(web, "ALLOWED_HOSTS").split(",")).toContain("polls.example.com");
    expect(variable(web, "CSRF_TRUSTED_ORIGINS")).toBe("http://polls.example.com,https://polls.example.com");
  });

  it("and its probes do too, by the pod's own address", () => {
    expect(variable(named(before, "Deployment", "polls"), "ALLOWED_HOSTS").split(",")).toContain("$(POD_IP)");
  });
});
