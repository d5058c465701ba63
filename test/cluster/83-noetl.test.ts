// Proves that NoETL runs from our manifests in its three modes, one after the other under one name and side by side
// under several; that a version of each way to start one answers; that a playbook is registered, executed by a worker
// and its result kept in PostgreSQL; that a changed source file is served at once, and that data outlives a pod.
// It does not prove an install from a package index: the images hold everything here.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { address, get, mustRun, platform, pods, ready, replacePod, runIn, secret, stackFile, unready } from "./kit.ts";

/** A stack of its own beside whatever runs: PostgreSQL and NoETL alone, and next to nothing requested for them. */
const stack = "noetl";
const [core, apps] = [`${stack}-core`, `${stack}-apps`];
const off = "redis minio nessie".split(" ").map((part) => `${part}: { enabled: false }\n`);
const small = "resources: { requests: { cpu: 1m } }";
const file = stackFile(
  "dev",
  `${off.join("")}
postgresql: { storage: { size: 2Gi }, ${small} }
noetl: { server: { ${small} }, worker: { ${small} }, nats: { ${small} } }`,
);
const where = ["--stack", stack, "--config-file", file];

/** Deploys an instance as a user does. */
const deploy = (...options: string[]) => mustRun(["noetl", "deploy", "--engine", "apply", ...where, ...options]);

const url = async (service: string, path: string) => `http://${await address(service, apps)}:8082${path}`;

/** Asks a server, once the node's rules lead to it. */
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

/** What Python in the server's container says that it has installed, and where from. */
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

const playbook = `apiVersion: noetl.io/v2
kind: Playbook
metadata: { name: sum, path: tests/sum }
workload: { numbers: [20, 22] }
workflow:
  - step: start
    tool:
      kind: python
      input: { numbers: "{{ workload.numbers }}" }
      code: |
        result = {"total": sum(numbers)}
`;

/** Has a playbook done to its end. */
async function execute(service: string): Promise<string> {
  const { execution_id: id } = await ask(service, "/api/execute", { path: "tests/sum" });
  await vi.waitFor(
    async () => {
      const { completed, failed } = await ask(service, `/api/executions/${id}/status`);
      if (failed) throw new Error("the execution failed");
      if (!completed) throw new Error("the execution is not done");
    },
    { timeout: 60_000, interval: 500 },
  );
  return id;
}

/** A copy of the code as a checkout, and the same as a package: both come from the server that runs. */
const folder = mkdtempSync(join(tmpdir(), "noetl-"));
const checkout = join(folder, "checkout");
const packages = join(folder, "packages");

beforeAll(async () => {
  await mustRun(["cluster", "up"]);
  await deploy("--type", "version", "--version", "latest");
});

afterAll(async () => {
  if (!process.env.TEST_STACK) await mustRun(["destroy", ...where]);
});

describe("a version", () => {
  it("runs: server, worker and queue", async () => {
    expect(await unready(apps)).toEqual([]);
    expect(await ask("noetl", "/api/health")).toMatchObject({ status: "ok" });
    expect(await installed("noetl-0")).toMatch(/^4\.26\.0 \/usr\/local\//);
  });

  it("executes a playbook, and keeps its result in PostgreSQL", async () => {
    await ask("noetl", "/api/catalog/register", { content: playbook, resource_type: "Playbook" });
    const id = await execute("noetl");
    const results = await rows(
      `SELECT result->'context'->'total' AS total FROM noetl.event WHERE execution_id = ${id} AND event_type = 'call.done'`,
    );
    expect(results).toEqual([{ total: 42 }]);
  });

  it("gives its workers no way into the database", async () => {
    const environment = await runIn("noetl-worker-0", apps, "worker", ["env"]);
    expect(environment).toContain("NATS_URL=");
    expect(environment).not.toMatch(/POSTGRES|NOETL_PASSWORD/);
  });

  it("keeps playbooks, data and logs when its pods are deleted, and goes on", async () => {
    await runIn("noetl-0", apps, "server", [
      "sh",
      "-c",
      "echo kept > /opt/noetl/data/file; echo kept > /opt/noetl/logs/file",
    ]);
    await Promise.all(["noetl-0", "noetl-worker-0", "noetl-nats-0"].map((pod) => replacePod(pod, apps)));
    const read = ["cat", "/opt/noetl/data/file", "/opt/noetl/logs/file"];
    expect(await runIn("noetl-0", apps, "server", read)).toBe("kept\nkept\n");
    // Not registered again.
    await execute("noetl");
  });
});

describe("a checkout", () => {
  beforeAll(async () => {
    const origin = (await installed("noetl-0")).split(" ")[1]!.replace("/__init__.py", "");
    const packed = await runIn("noetl-0", apps, "server", ["sh", "-c", `tar -C ${origin}/.. -cz noetl | base64`]);
    mkdirSync(checkout, { recursive: true });
    mkdirSync(packages);
    writeFileSync(join(folder, "noetl.tar.gz"), Buffer.from(packed, "base64"));
    const { execa } = await import("execa");
    await execa("tar", ["-C", checkout, "-xzf", join(folder, "noetl.tar.gz")]);
    writeFileSync(join(checkout, "pyproject.toml"), project("4.26.0"));
    // A package is what the same project's build makes.
    await execa("chmod", ["-R", "a+rX", folder]);
  });

  it("takes the place of a version, under the same Service and with the same database", async () => {
    const service = await get("Service", "noetl", apps);
    await deploy("--type", "dev", "--repo-path", checkout);
    expect(await installed("noetl-0")).toBe("4.26.0 /source/noetl/__init__.py");
    expect((await get("Service", "noetl", apps))?.metadata.uid).toBe(service?.metadata.uid);
    await execute("noetl");
  });

  it("is served anew within ten seconds of a change", async () => {
    const endpoint = join(checkout, "noetl/server/api/__init__.py");
    const before = readFileSync(endpoint, "utf8");
    writeFileSync(endpoint, before.replace(/("status":\s*)"ok"/, '$1"changed"'));
    const since = Date.now();
    await vi.waitFor(
      async () => {
        const answer = await (await fetch(await url("noetl", "/api/health"))).json();
        expect(answer).toMatchObject({ status: "changed" });
      },
      { timeout: 60_000, interval: 200 },
    );
    expect(Date.now() - since).toBeLessThan(10_000);
  });
});

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
