// Proves how each version of NoETL is started, which configuration and command lines are refused, and what is written
// to a stack file.
// Does not prove that servers start this way: the cluster tests do.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import {
  type DeployOptions,
  instanceOf,
  instancesIn,
  withInstance,
  withoutInstance,
} from "../../apps/commands/noetl/instances.ts";
import { platform } from "../../cli/commands.ts";
import { newest } from "../../components/noetl/manifests.ts";
import { type StartPlan, startPlan } from "../../components/noetl/versions.ts";
import { parseConfig } from "../../config/problems.ts";

const module = "python -m noetl.server --host= --port 8082";
const uvicorn = "python -m uvicorn noetl.server:create_app --factory --host= --port 8082 --no-access-log";
const worker = "python -m noetl.worker";
const starts = "python -m noetl.main worker start";

/** version, server, worker, health, NATS, who makes the schema, whether the environment is logged, how many variables */
const plans: [string, string, string | undefined, string, boolean, string, boolean, number][] = [
  ["0.1.24", "python -m noetl.main server --host= --port 8082", undefined, "/health", false, "server", true, 0],
  ["0.1.36", "python -m noetl.main server --host= --port 8082", undefined, "/health", false, "server", true, 0],
  [
    "0.1.38",
    "python -m noetl.main server start --host= --port 8082",
    undefined,
    "/api/health",
    false,
    "server",
    true,
    0,
  ],
  ["1.0.0", uvicorn, starts, "/api/health", false, "ddl", false, 16],
  ["1.8.0", uvicorn, starts, "/api/health", false, "ddl", false, 16],
  ["2.0.0", uvicorn, `${starts} --v2`, "/api/health", true, "ddl", false, 16],
  ["2.3.3", uvicorn, `${starts} --v2`, "/api/health", true, "ddl", false, 16],
  ["2.4.0", uvicorn, `${starts} --v2`, "/api/health", true, "ddl", false, 16],
  ["2.5.0", module, worker, "/api/health", true, "ddl", false, 14],
  ["2.5.5", module, worker, "/api/health", true, "ddl", false, 14],
  ["2.103.4", module, worker, "/api/health", true, "ddl", false, 14],
  ["4.26.0", module, worker, "/api/health", true, "ddl", false, 14],
  ["latest", module, worker, "/api/health", true, "ddl", false, 14],
];

/** A requested version, and why it is refused. */
const refused: [string, string][] = [
  [
    "5.0.0",
    "expected at most 4.26.0, the newest version with a server: from 5.0.0 on the package is a command-line tool without one",
  ],
  [
    "5.3.2",
    "expected at most 4.26.0, the newest version with a server: from 5.0.0 on the package is a command-line tool without one",
  ],
  ["4.27.0", "expected a version that was released: there is no NoETL 4.27.0"],
  ["2.5.3", "expected a version that was released: there is no NoETL 2.5.3"],
  ["2.24.0", "expected a version that was released: there is no NoETL 2.24.0"],
  ["0.1.23", "expected 0.1.24 or newer: what came before is started in ways that are not known here"],
  ["newest", "expected a version such as 4.26.0, or latest"],
  ["4.26", "expected a version such as 4.26.0, or latest"],
];

describe("the start plan", () => {
  it.each(plans)("of %s", (version, server, start, health, nats, schema, logsEnvironment, variables) => {
    const plan = startPlan(version) as StartPlan;
    expect(["python", ...plan.server].join(" ")).toBe(server);
    expect(plan.worker && ["python", ...plan.worker].join(" ")).toBe(start);
    expect(plan).toMatchObject({ health, schema, logsEnvironment, needs: { postgresql: true, nats } });
    expect(Object.keys(plan.environment)).toHaveLength(variables);
    // An empty value counts as none.
    expect(Object.values(plan.environment)).not.toContain("");
  });

  it.each(refused)("refuses %s", (version, why) => {
    expect(startPlan(version)).toEqual({ refused: why });
  });

  it("of latest is that of the newest version with a server", () => {
    expect(startPlan("latest")).toEqual(startPlan("4.26.0"));
  });

  it("of a development version has the dependencies of the previous release", () => {
    expect(startPlan("4.27.0", { unreleased: true })).toMatchObject({ version: "4.27.0", release: "4.26.0" });
    expect(startPlan("2.5.4", { unreleased: true })).toMatchObject({ release: "2.5.2" });
    expect(startPlan("2.5.5", { unreleased: true })).toMatchObject({ release: "2.5.5" });
    expect(startPlan("5.0.0", { unreleased: true })).toHaveProperty("refused");
  });
});

const problem = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
};

describe("the configuration", () => {
  const refusal = (instances: string) =>
    problem(() => parseConfig("dev", parse(`noetl: { instances: ${instances} }`))).replace(
      "stack dev: noetl.instances.",
      "",
    );

  it.each([
    ['{ main: { version: "5.0.0" } }', `main.version: found "5.0.0"; ${refused[0]![1]}`],
    ["{ main: { version: 9.9.9 } }", `main.version: found "9.9.9"; ${refused[0]![1]}`],
    [
      '{ a: { version: "2.5.3" } }',
      'a.version: found "2.5.3"; expected a version that was released: there is no NoETL 2.5.3',
    ],
    ["{ a: { type: dev } }", "a.path: found nothing; expected a directory's absolute path beside type: dev"],
    ["{ a: { type: package } }", "a.path: found nothing; expected a directory's absolute path beside type: package"],
    [
      "{ a: { type: version, path: /code } }",
      'a.path: found "/code"; expected no path beside type: version, which installs a release',
    ],
    ["{ a: { type: dev, path: code } }", 'a.path: found "code"; expected a directory\'s absolute path'],
    ["{ a: { type: git } }", 'a.type: found "git"; expected version, package or dev'],
  ])("refuses %s", (instances, message) => {
    expect(refusal(instances)).toBe(message);
  });

  it.each(["nats", "worker", "My-Instance"])("refuses an instance called %s", (name) => {
    expect(refusal(`{ ${name}: {} }`)).toContain("expected");
  });

  it("has one instance by default", () => {
    expect(parseConfig("dev", {}).noetl.instances).toEqual({
      main: { type: "version", version: "4.26.0", env: {}, envFrom: [] },
    });
  });
});

describe("the command line", () => {
  const folder = mkdtempSync(join(tmpdir(), "noetl-"));
  const make = (name: string, files: Record<string, string>) => {
    mkdirSync(join(folder, name));
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text);
    return join(folder, name);
  };
  const empty = make("empty", { "README.md": "" });
  const packages = make("packages", {
    "noetl-4.9.0.tar.gz": "",
    "noetl-4.26.0-py3-none-any.whl": "",
    "noetl-4.25.0-py3-none-any.whl": "",
    "other-5.0.0.tar.gz": "",
  });
  const tools = make("tools", { "noetl-5.1.0-py3-none-any.whl": "" });
  const project = (name: string, version: string) => `[project]\nname = "${name}"\nversion = "${version}"\n[tool.x]\n`;
  const checkout = make("checkout", { "pyproject.toml": project("noetl", "4.27.0.dev1") });
  const tool = make("tool", { "pyproject.toml": project("noetl", "5.3.0") });
  const other = make("other", { "pyproject.toml": project("other", "1.0.0") });
  const missing = join(folder, "missing");
  const unnamed = make("unnamed", { "noetl-newest.tar.gz": "" });
  const unversioned = make("unversioned", { "pyproject.toml": project("noetl", "next") });

  const wrong: [string, Omit<DeployOptions, "name">, string][] = [
    ["a missing path", { type: "dev", repoPath: missing }, `--repo-path ${missing}: there is no such directory`],
    [
      "a missing package directory",
      { type: "package", packagePath: missing },
      `--package-path ${missing}: there is no such directory`,
    ],
    [
      "a directory without packages",
      { type: "package", packagePath: empty },
      `--package-path ${empty}: holds no noetl-*.tar.gz and no noetl-*.whl; expected one of them`,
    ],
    [
      "a directory with packages whose names have no version",
      { type: "package", packagePath: unnamed },
      `--package-path ${unnamed}: holds noetl-newest.tar.gz; expected a version (PEP 440) in the name, such as noetl-4.26.0-py3-none-any.whl`,
    ],
    [
      "a checkout whose version is none",
      { type: "dev", repoPath: unversioned },
      `--repo-path ${unversioned}: its pyproject.toml has version next; expected one such as 4.26.0 (PEP 440)`,
    ],
    [
      "a path without a pyproject.toml",
      { type: "dev", repoPath: empty },
      `--repo-path ${empty}: holds no pyproject.toml; expected a checkout of NoETL`,
    ],
    [
      "another project's checkout",
      { type: "dev", repoPath: other },
      `--repo-path ${other}: its pyproject.toml is of other; expected noetl's`,
    ],
    [
      "a checkout of what has no server",
      { type: "dev", repoPath: tool },
      `--repo-path ${tool}: found 5.3.0; ${refused[0]![1]}`,
    ],
    [
      "a package of what has no server",
      { type: "package", packagePath: tools },
      `--package-path ${tools}: found 5.1.0; ${refused[0]![1]}`,
    ],
    ["version 5.0.0", { type: "version", version: "5.0.0" }, `--version: found 5.0.0; ${refused[0]![1]}`],
    [
      "a version that does not exist",
      { type: "version", version: "4.99.0" },
      "--version: found 4.99.0; expected a version that was released: there is no NoETL 4.99.0",
    ],
    [
      "two types at once",
      { type: "version", version: "4.26.0", repoPath: checkout },
      "--repo-path: found beside --type version; expected --version alone, since one instance is of one type",
    ],
    [
      "a version beside a checkout",
      { type: "dev", version: "4.26.0", repoPath: checkout },
      "--version: found beside --type dev; expected --repo-path alone, since one instance is of one type",
    ],
    [
      "a type without what it needs",
      { type: "package" },
      "--package-path: found nothing; expected it beside --type package",
    ],
  ];

  it.each(wrong)("refuses %s", (_, options, message) => {
    expect(problem(() => instanceOf({ name: "main", ...options }))).toBe(message);
  });

  it("uses the highest version of a directory's packages, and the version of a checkout", () => {
    const of = (options: Omit<DeployOptions, "name">) => instanceOf({ name: "main", ...options });
    expect(of({ type: "package", packagePath: packages })).toEqual({
      type: "package",
      version: "4.26.0",
      path: packages,
    });
    expect(of({ type: "dev", repoPath: checkout })).toEqual({ type: "dev", version: "4.27.0", path: checkout });
    expect(of({ type: "version", version: "latest" })).toEqual({ type: "version", version: "4.26.0" });
  });

  /** Files beside an older package, and which one is installed: the command line and the pod must choose the same. */
  const chosen: [string, string, string][] = [
    ["noetl-4.27.0rc1-py3-none-any.whl", "noetl-4.26.0-py3-none-any.whl", "4.27.0"],
    ["noetl-4.27.0-py3-none-any.whl", "noetl-4.27.0rc1-py3-none-any.whl", "4.27.0"],
    ["noetl-4.27.0.post1.tar.gz", "noetl-4.27.0-py3-none-any.whl", "4.27.0"],
    ["noetl-4.27.0rc1.tar.gz", "noetl-4.27.0.dev9.tar.gz", "4.27.0"],
    ["noetl-4.27.0+local.2-py3-none-any.whl", "noetl-4.27.0-py3-none-any.whl", "4.27.0"],
    ["noetl-4.27.0+build_10-py3-none-any.whl", "noetl-4.27.0+build_9-py3-none-any.whl", "4.27.0"],
    ["noetl-4.27.0-2-py3-none-any.whl", "noetl-4.27.0-1local-py3-none-any.whl", "4.27.0"],
    ["noetl-4.27.0-10-py3-none-any.whl", "noetl-4.27.0-9-py3-none-any.whl", "4.27.0"],
    ["noetl-4.27-py2.py3-none-any.whl", "noetl-4.27rc1-py3-none-any.whl", "4.27.0"],
    ["noetl-4.27.0-rc1.tar.gz", "noetl-4.26.0-1.tar.gz", "4.27.0"],
    ["NoETL-4.10.0.tar.gz", "noetl-4.9.0.tar.gz", "4.10.0"],
    ["noetl-1!3.0.0-py3-none-any.whl", "noetl-4.26.0-py3-none-any.whl", "3.0.0"],
    ["noetl-4.27.0-py3-none-any.whl", "noetl-5.0-py3.whl", "4.27.0"],
  ];

  it.each(chosen)("installs %s, not %s", async (newer, older, version) => {
    const packagePath = mkdtempSync(join(folder, "chosen-"));
    // The file of the older version has the newer timestamp.
    for (const file of [newer, older]) writeFileSync(join(packagePath, file), "");
    expect(instanceOf({ name: "main", type: "package", packagePath })).toMatchObject({ version });
    const { stdout, code } = await execa("python3", ["-c", newest, packagePath], { reject: false });
    // Without Python only the command line's choice is tested.
    if (code !== "ENOENT") expect(stdout).toBe(join(packagePath, newer));
  });

  it("has the four commands", () => {
    const noetl = platform.commands.find((command) => command.name() === "noetl")!;
    expect(noetl.commands.map((command) => command.name())).toEqual(["deploy", "validate", "list", "destroy"]);
  });
});

describe("a stack's file", () => {
  const text = "# ours\nconfig:\n  data-platform:redis: {} # small\n";
  const old = { type: "version", version: "2.5.5" } as const;
  /** What an instance has that says no more. */
  const usual = { env: {}, envFrom: [] };

  it("keeps its comments, and the default instance beside a new one", () => {
    const after = withInstance(text, "old", old);
    expect(after).toContain("# ours");
    expect(after).toContain("# small");
    expect(instancesIn("dev", after)).toEqual({
      main: { type: "version", version: "4.26.0", ...usual },
      old: { ...old, ...usual },
    });
  });

  it("has one instance per name, whatever its previous type", () => {
    const dev = { type: "dev", version: "4.26.0", path: "/code" } as const;
    const after = withInstance(withInstance(text, "main", dev), "main", old);
    expect(instancesIn("dev", after)).toEqual({ main: { ...old, ...usual } });
  });

  it("keeps the position of its block, also under a key without a namespace", () => {
    const after = withInstance("config:\n  noetl: { worker: { replicas: 2 } }\n", "old", old);
    expect(after).not.toContain("data-platform:noetl");
    expect(Object.keys(instancesIn("dev", after))).toEqual(["main", "old"]);
  });

  it("switches NoETL on for its first instance and off with its last", () => {
    const off = "config:\n  data-platform:noetl: { enabled: false }\n";
    const on = withInstance(off, "old", old);
    expect(instancesIn("dev", on)).toEqual({ old: { ...old, ...usual } });
    expect(instancesIn("dev", withoutInstance(on, "old"))).toEqual({});
    expect(instancesIn("dev", withoutInstance(text, "main"))).toEqual({});
  });
});
