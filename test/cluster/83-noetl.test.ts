// Proves NoETL's three modes, several instances side by side, each supported way to start a version, a playbook from
// registration to its result, and that data survives a deleted pod.
// Does not prove an install from a package index: the images contain every package.
// Exercises: noetl, noetl-nats, postgresql, apps/noetl, apps/commands/noetl.
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { withInstance } from "../../apps/commands/noetl/instances.ts";
import {
  address,
  fileOfComponents,
  kube,
  mustRun,
  platform,
  replacePod,
  roomFor,
  runIn,
  secret,
  unready,
} from "./kit.ts";

/** A separate stack, since `dev` may run too: only PostgreSQL and NoETL, with minimal requests. */
const stack = "noetl";
const [core, apps] = [`${stack}-core`, `${stack}-apps`];
const small = { resources: { requests: { cpu: "1m" } } };
const file = fileOfComponents({
  postgresql: { storage: { size: "2Gi" }, ...small },
  noetl: { server: small, worker: small, nats: small },
});
const where = ["--stack", stack, "--config-file", file];

/** Deploys an instance as a user does. */
const deploy = (...options: string[]) => mustRun(["noetl", "deploy", ...where, ...options]);

const url = async (service: string, path: string) => `http://${await address(service, apps)}:8082${path}`;

/** Calls a server as soon as kube-proxy routes to it. */
async function ask(service: string, path: string, body?: unknown) {
  const target = await url(service, path);
  const answer = await vi.waitFor(
    () =>
      fetch(target, {
        headers: { "content-type": "application/json" },
        ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
      }),
    { timeout: 30_000, interval: 500 },
  );
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

/** The installed version and its path, from Python in the server's container. */
const installed = async (pod: string): Promise<string> =>
  (
    await runIn(pod, apps, "server", [
      "/opt/noetl/venv/bin/python",
      "-c",
      "import importlib.metadata as m, importlib.util as u; print(m.version('noetl'), u.find_spec('noetl').origin)",
    ])
  ).trim();

async function rows(text: string): Promise<Record<string, unknown>[]> {
  const { username, password } = await secret("postgresql-user-noetl", apps);
  const client = new pg.Client({
    host: await address("postgresql", core),
    user: username,
    password,
    database: "noetl",
  });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const playbook = (name: string, code: string) => `apiVersion: noetl.io/v2
kind: Playbook
metadata: { name: ${name}, path: tests/${name} }
workload: { numbers: [20, 22] }
workflow:
  - step: start
    tool:
      kind: python
      input: { numbers: "{{ workload.numbers }}" }
      code: |
        ${code}
        result = {"total": sum(numbers)}
`;
const register = (service: string, name: string, code = "") =>
  ask(service, "/api/catalog/register", { content: playbook(name, code), resource_type: "Playbook" });

const begin = async (service: string, name: string): Promise<string> =>
  (await ask(service, "/api/execute", { path: `tests/${name}` })).execution_id;

const ended = (service: string, id: string) =>
  vi.waitFor(
    async () => {
      const { completed, failed } = await ask(service, `/api/executions/${id}/status`);
      if (failed) throw new Error("the execution failed");
      if (!completed) throw new Error("the execution is not done");
    },
    { timeout: 60_000, interval: 500 },
  );

/** Executes a playbook to its end. */
async function execute(service: string): Promise<string> {
  const id = await begin(service, "sum");
  await ended(service, id);
  return id;
}

/** The running code as a checkout and as packages. */
const folder = mkdtempSync(join(tmpdir(), "noetl-"));
const checkout = join(folder, "checkout");
const packages = join(folder, "packages");

/** Files below a directory of a pod, unpacked here. */
async function copyFrom(pod: string, directory: string, name: string, to: string): Promise<void> {
  const packed = await runIn(pod, apps, "server", ["sh", "-c", `tar -C ${directory} -cz ${name} | base64`]);
  mkdirSync(to, { recursive: true });
  await execa("tar", ["-C", to, "-xz"], { input: Buffer.from(packed, "base64") });
  await execa("chmod", ["-R", "a+rX", folder]);
}

const project = (version: string) => `[project]
name = "noetl"
version = "${version}"

[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[tool.setuptools.packages.find]
include = ["noetl*"]

[tool.setuptools.package-data]
noetl = ["**/*"]
`;

beforeAll(async () => {
  await roomFor("dev");
  await deploy("--type", "version", "--version", "latest");
});

afterAll(async () => {
  if (!process.env.TEST_STACK) await mustRun(["destroy", ...where]);
});

describe("a version", () => {
  it("runs: server, worker and queue", async () => {
    expect(await unready(apps)).toEqual([]);
    expect(await ask("noetl", "/api/health")).toEqual({ status: "ok" });
    expect(await installed("noetl-0")).toMatch(/^4\.26\.0 \/usr\/local\//);
  });

  it("executes a playbook, and keeps its result in PostgreSQL", async () => {
    await register("noetl", "sum");
    const id = await execute("noetl");
    const results = await rows(
      `SELECT result->'context'->'total' AS total FROM noetl.event WHERE execution_id = ${id} AND event_type = 'call.done'`,
    );
    expect(results).toEqual([{ total: 42 }]);
  });

  it("completes a running command when its worker is terminated", async () => {
    await register("noetl", "slow", "import time; time.sleep(10)");
    const id = await begin("noetl", "slow");
    const events = async (type: string) =>
      (await rows(`SELECT 1 FROM noetl.event WHERE execution_id = ${id} AND event_type = '${type}'`)).length;
    await vi.waitFor(async () => expect(await events("command.started")).toBe(1), { timeout: 30_000, interval: 200 });
    const told = Date.now();
    await replacePod("noetl-worker-0", apps);
    // It would be killed after a minute.
    expect(Date.now() - told).toBeLessThan(60_000);
    await ended("noetl", id);
    expect([await events("command.started"), await events("call.done")]).toEqual([1, 1]);
  });

  it("gives its workers no access to the database", async () => {
    const environment = await runIn("noetl-worker-0", apps, "worker", ["env"]);
    expect(environment).toContain("NATS_URL=");
    expect(environment).not.toMatch(/POSTGRES|NOETL_PASSWORD/);
  });

  it("keeps playbooks, data and logs when its pods are deleted, and continues", async () => {
    const write = "echo kept > /opt/noetl/data/file; echo kept > /opt/noetl/logs/file";
    await runIn("noetl-0", apps, "server", ["sh", "-c", write]);
    await Promise.all(["noetl-0", "noetl-worker-0", "noetl-nats-0"].map((pod) => replacePod(pod, apps)));
    const read = ["cat", "/opt/noetl/data/file", "/opt/noetl/logs/file"];
    expect(await runIn("noetl-0", apps, "server", read)).toBe("kept\nkept\n");
    // Not registered again.
    await execute("noetl");
  });
});

describe("a checkout", () => {
  beforeAll(async () => {
    const origin = (await installed("noetl-0")).split(" ")[1]!.replace("/noetl/__init__.py", "");
    await copyFrom("noetl-0", origin, "noetl", checkout);
    writeFileSync(join(checkout, "pyproject.toml"), project("4.26.0"));
    await deploy("--type", "dev", "--repo-path", checkout);
  });

  it("replaces a version: the playbooks stay, and the checkout's code runs", async () => {
    expect(await installed("noetl-0")).toBe("4.26.0 /source/noetl/__init__.py");
    await execute("noetl");
  });

  it("is reloaded within ten seconds of a change", async () => {
    const endpoint = join(checkout, "noetl/server/api/__init__.py");
    const before = readFileSync(endpoint, "utf8");
    const since = Date.now();
    writeFileSync(endpoint, before.replace('"status": "ok"', '"status": "changed"'));
    const health = await url("noetl", "/api/health");
    await vi.waitFor(
      async () => expect(await (await fetch(health)).json()).toEqual({ status: "changed" }),
      // Far longer than allowed, in order to measure how long it took.
      { timeout: 60_000, interval: 200 },
    );
    const took = Date.now() - since;
    // Loading the server's code is most of a start: how long that takes shows how busy the machine is.
    const loads = Date.now();
    await runIn("noetl-0", apps, "server", ["/opt/noetl/venv/bin/python", "-c", "import noetl.server.app"]);
    const loaded = Date.now() - loads;
    console.log(`reloaded after ${took} ms; loading the code alone takes ${loaded} ms`);
    expect(took).toBeLessThan(Math.max(10_000, 3_000 + 3 * loaded));
    writeFileSync(endpoint, before);
  });
});

describe("a package", () => {
  it("replaces a checkout: the newest one, built or not", async () => {
    // A release candidate as the project's own build names it, and an older final release.
    const build = [
      "cp -r /source /tmp/project && cd /tmp/project",
      "sed -i 's/^version = .*/version = \"4.27.0rc1\"/' pyproject.toml",
      "/opt/noetl/venv/bin/python -m pip wheel --quiet --no-index --no-build-isolation --no-deps --wheel-dir /tmp/wheels .",
    ].join(" && ");
    await runIn("noetl-0", apps, "server", ["sh", "-eu", "-c", build]);
    await copyFrom("noetl-0", "/tmp/wheels", ".", packages);
    writeFileSync(join(packages, "noetl-4.26.0.tar.gz"), "");
    await deploy("--type", "package", "--package-path", packages);
    expect(await installed("noetl-0")).toMatch(/^4\.27\.0rc1 \/opt\/noetl\/venv\//);
    await execute("noetl");
  });
});

describe("what cannot be deployed", () => {
  const empty = join(folder, "empty");
  beforeAll(() => mkdirSync(empty));

  it.each([
    ["--type dev --repo-path /nowhere", "--repo-path /nowhere: there is no such directory"],
    [`--type package --package-path ${empty}`, `--package-path ${empty}: holds no noetl-*.tar.gz and no noetl-*.whl;`],
    [
      "--type version --version 5.0.0",
      "--version: found 5.0.0; expected at most 4.26.0, the newest version with a server",
    ],
    ["--type version --version 4.99.0", "--version: found 4.99.0; expected a version that was released"],
    [
      "--type version --version latest --repo-path .",
      "--repo-path: found beside --type version; expected --version alone",
    ],
    [`--type dev --repo-path ${empty}`, `--repo-path ${empty}: holds no pyproject.toml; expected a checkout of NoETL`],
  ])("because of %s is refused with one sentence, and nothing changes", async (options, sentence) => {
    const before = readFileSync(file, "utf8");
    const { exitCode, all } = await platform(["noetl", "deploy", ...where, ...options.split(" ")]);
    expect(String(all).trim().split("\n")).toEqual([expect.stringContaining(sentence)]);
    expect(exitCode).toBe(2);
    expect(readFileSync(file, "utf8")).toBe(before);
  });
});

/** One release for each way to start NoETL, by instance name, and its health endpoint. */
const older = {
  v255: ["2.5.5", "/api/health"],
  v233: ["2.3.3", "/api/health"],
  v0138: ["0.1.38", "/api/health"],
  v0124: ["0.1.24", "/health"],
} as const;

describe("side by side", () => {
  beforeAll(async () => {
    const all = {
      main: { type: "version", version: "4.26.0" },
      dev: { type: "dev", version: "4.26.0", path: checkout },
      package: { type: "package", version: "4.27.0", path: packages },
      ...Object.fromEntries(
        Object.entries(older).map(([name, [version]]) => [name, { type: "version", version } as const]),
      ),
    } as const;
    let text = readFileSync(file, "utf8");
    for (const [name, instance] of Object.entries(all)) text = withInstance(text, name, instance);
    writeFileSync(file, text);
    // Builds the other images, which takes minutes the first time.
    await mustRun(["up", ...where]);
  }, 1_800_000);

  it.each([
    ["noetl", "/api/health"],
    ["noetl-dev", "/api/health"],
    ["noetl-package", "/api/health"],
    ...Object.entries(older).map(([name, [, health]]): [string, string] => [`noetl-${name}`, health]),
  ] as [string, string][])("%s answers on %s", async (service, health) => {
    expect(await ask(service, health)).toMatchObject({ status: "ok" });
  });

  it.each(Object.entries(older))("%s runs the configured version", async (name, [version]) => {
    expect((await installed(`noetl-${name}-0`)).split(" ")[0]).toBe(version);
  });

  it("each has its own playbooks", async () => {
    const { error } = await ask("noetl-dev", "/api/execute", { path: "tests/sum" }).catch((error) => ({ error }));
    expect(String(error)).toContain("404");
  });

  it("a server that logs its environment logs no password", async () => {
    const { password = "" } = await secret("postgresql-user-noetl-v0138", apps);
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "noetl-v0138-0", namespace: apps } };
    const log = await kube().log(pod, { container: "server", lines: 10_000 });
    expect(log).toContain("ENV: NOETL_PASSWORD=''");
    expect(log).not.toContain(password);
  });

  it("each is listed with its address", async () => {
    const list = await mustRun(["noetl", "list", ...where]);
    expect(list).toMatch(/^package +package +4\.27\.0 +\S+ +ready/m);
    expect(list).toMatch(/^dev +dev +4\.26\.0 +\S+ +ready/m);
    expect(await unready(apps)).toEqual([]);
  });

  it("one is destroyed, and the others stay", async () => {
    await mustRun(["noetl", "destroy", "--name", "v0124", ...where]);
    const names = (await kube().list("apps/v1", "StatefulSet", apps)).map(({ metadata }) => metadata.name);
    expect(names).not.toContain("noetl-v0124");
    expect(names).toEqual(expect.arrayContaining(["noetl", "noetl-dev", "noetl-package", "noetl-v0138"]));
    expect(await mustRun(["noetl", "list", ...where])).not.toMatch(/^v0124/m);
    expect(await ask("noetl-v0138", "/api/health")).toMatchObject({ status: "ok" });
  });
});
