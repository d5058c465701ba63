// Proves for the manifests of Django applications: what a change rolls, how users reach them on each kind of cluster,
// and that migrations run first.
// Does not prove that they run: the cluster tests do.
import { existsSync, mkdirSync, mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { seeded } from "../../render/evaluate.ts";
import { changed, type Evaluated, evaluated, named, only } from "./stacks.ts";

const alone = only("postgresql", "polls");
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
  it("adds its own database, and does not change polls", async () => {
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

  it("is served as configured", async () => {
    const program = await render(shop({ application: "shop.wsgi", healthPath: "/up" }));
    const web = container(named(program, "Deployment", "django-my-shop"));
    expect(web.command.at(-2)).toContain('exec gunicorn --bind "$any:8000" "$@"');
    expect(web.args[0]).toBe("shop.wsgi");
    expect([web.startupProbe, web.readinessProbe].map((probe) => probe.httpGet.path)).toEqual(["/up", "/up"]);
    expect(variable(named(program, "Deployment", "django-my-shop"), "DATABASE_NAME")).toBe("django_my_shop");
  });
});

describe("variables from the stack file", () => {
  // biome-ignore lint/suspicious/noExplicitAny: an object's fields as plain data
  const all = (object: any): { name: string; value?: string; valueFrom?: object }[] => container(object).env;

  it("follow the platform's in the Job and the web server; those for the administrator are only in the Job", async () => {
    const program = await render(
      shop({
        env: {
          DATABASE_URL: "postgres://$(DATABASE_USER):$(DATABASE_PASSWORD)@$(DATABASE_HOST)/$(DATABASE_NAME)",
          MAIL_PASSWORD: { secretKeyRef: { name: "mail", key: "password" } },
          MAIL_HOST: { configMapKeyRef: { name: "settings", key: "host" } },
          DJANGO_SUPERUSER_PHONE: "+4712345678",
        },
        envFrom: [{ secretRef: { name: "further" } }, { configMapRef: { name: "settings" } }],
      }),
    );
    const web = named(program, "Deployment", "django-my-shop");
    const job = program.objects.find(({ metadata }) => metadata.name.startsWith("django-my-shop-migrate-"));
    for (const object of [web, job]) {
      const names = all(object).map(({ name }) => name);
      expect(names.indexOf("DATABASE_URL")).toBeGreaterThan(names.indexOf("DATABASE_PASSWORD"));
      expect(all(object)).toContainEqual({
        name: "MAIL_PASSWORD",
        valueFrom: { secretKeyRef: { name: "mail", key: "password" } },
      });
      expect(all(object)).toContainEqual({
        name: "MAIL_HOST",
        valueFrom: { configMapKeyRef: { name: "settings", key: "host" } },
      });
      expect(container(object).envFrom).toEqual([
        { secretRef: { name: "further" } },
        { configMapRef: { name: "settings" } },
      ]);
    }
    expect([web, job].map((object) => all(object).some(({ name }) => name === "DJANGO_SUPERUSER_PHONE"))).toEqual([
      false,
      true,
    ]);
  });
});

describe("an application below the image's working directory, over ASGI", () => {
  it("runs in the directory of manage.py, with uvicorn workers", async () => {
    const program = await render(shop({ application: "shop.asgi", interface: "asgi", directory: "backend/src" }));
    const pod = named(program, "Deployment", "django-my-shop").spec.template.spec;
    const [web] = pod.containers;
    const [waiting] = pod.initContainers;
    const migrate = container(
      program.objects.find(({ metadata }) => metadata.name.startsWith("django-my-shop-migrate-")),
    );
    const bin = mkdtempSync(join(tmpdir(), "bin-"));
    for (const name of ["gunicorn", "python"])
      writeFileSync(join(bin, name), `#!/bin/sh\necho ${name} "$PWD" "$@"\n`, { mode: 0o755 });
    writeFileSync(
      join(bin, "python"),
      '#!/bin/sh\ncase $1 in -c) echo uvicorn_worker;; *) echo python "$PWD" "$@";; esac\n',
    );
    for (const folder of ["backend/src", "src", "."]) {
      const cwd = realpathSync(mkdtempSync(join(tmpdir(), "workdir-")));
      mkdirSync(join(cwd, folder), { recursive: true });
      writeFileSync(join(cwd, folder, "manage.py"), "");
      const run = async ([command, ...args]: string[]) =>
        (
          await execa(command ?? "", args, { cwd, env: { PATH: `${bin}:${process.env.PATH}`, ADMINISTRATOR: "" } })
        ).stdout.split("\n");
      const [served = ""] = await run([...web.command, ...web.args]);
      expect(served).toBe(
        `gunicorn ${join(cwd, folder)} --bind ${existsSync("/proc/net/if_inet6") ? "[::]" : "0.0.0.0"}:8000 shop.asgi --workers=1 --keep-alive=0 --graceful-timeout=30 --worker-tmp-dir=/dev/shm --worker-class=uvicorn_worker.UvicornWorker`,
      );
      const shell = `python ${join(cwd, folder)} manage.py shell --verbosity 0 --command `;
      const migrated = await run(migrate.command);
      expect(migrated[0]).toBe(`${shell}def ready(connection):`);
      expect(migrated).toContain(`python ${join(cwd, folder)} manage.py migrate --noinput`);
      expect((await run(waiting.command))[0]).toBe(
        `${shell}from django.db.migrations.executor import MigrationExecutor`,
      );
    }
  });
});

it("migrates before the web server starts", () => {
  const deployment = before.manifests.find(
    ({ object }) => object.kind === "Deployment" && object.metadata.name === "polls",
  )!;
  const job = before.manifests.find(({ object }) => object.metadata.name.startsWith("polls-migrate-"))!;
  expect(deployment.dependsOn).toContain(job.key);
});

it("starts a new pod before it stops an old one", () => {
  expect(named(before, "Deployment", "polls").spec.strategy.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
});

it("the web server does not get the administrator's password", () => {
  const { containers, initContainers } = named(before, "Deployment", "polls").spec.template.spec;
  for (const { env } of [...containers, ...initContainers]) {
    const names = env.map((one: { name: string }) => one.name);
    expect(names.filter((name: string) => name.includes("SUPERUSER"))).toEqual([]);
    expect(names).toContain("SECRET_KEY");
  }
});

describe("users reach it", () => {
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

  it("as configured, on any cluster", async () => {
    const program = await render({ global: { cluster: "eks" }, polls: { service: { type: "ClusterIP" } } });
    expect(named(program, "Service", "polls").spec.type).toBe("ClusterIP");
  });

  it("by no Ingress without a host", () => {
    expect(before.objects.filter(({ kind }) => kind === "Ingress")).toEqual([]);
  });

  it("by an Ingress if it has a host, which it then accepts", async () => {
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

  it("and its probes reach it at the pod's address", () => {
    expect(variable(named(before, "Deployment", "polls"), "ALLOWED_HOSTS").split(",")).toContain("$(POD_IP)");
  });
});
