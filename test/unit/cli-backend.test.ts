// Proves where Pulumi's state is looked for, what is read from it, and the environment that Pulumi gets.
// Does not prove how Pulumi uses it: the cluster tests do.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { backendEnvironment, breakDeadLock, inUse, loggedIn, projectFolder, stateOf } from "../../cli/backend.ts";
import { kubeconfigPath } from "../../local/cluster/index.ts";
import type { StackFile } from "../../render/stack.ts";

let folder: string;
let file: StackFile;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cli-backend-"));
  vi.stubEnv("PLATFORM_STATE", join(folder, "state"));
  vi.stubEnv("PULUMI_HOME", join(folder, "home"));
  for (const name of ["BACKEND_URL", "ACCESS_TOKEN", "CONFIG_PASSPHRASE", "CONFIG_PASSPHRASE_FILE"])
    vi.stubEnv(`PULUMI_${name}`, undefined);
  const path = join(folder, "stack.yaml");
  writeFileSync(path, stringify({ config: { "data-platform:redis": { replicas: 1 } } }));
  file = { stack: "dev", project: "data-platform", path, config: {}, encrypted: [] };
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const home = () => join(folder, "state", "pulumi");
function write(path: string, content: object) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(content));
}

describe("the backend", () => {
  it("is a folder of this machine, with a passphrase that is generated once and only its user can read", () => {
    expect(loggedIn()).toBeUndefined();
    const environment = backendEnvironment();
    expect(environment.PULUMI_BACKEND_URL).toBe(`file://${home()}`);
    const path = environment.PULUMI_CONFIG_PASSPHRASE_FILE ?? "";
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const first = readFileSync(path, "utf8");
    expect(first).toHaveLength(32);
    backendEnvironment();
    expect(readFileSync(path, "utf8")).toBe(first);
  });

  it("is the configured one, or that of the current login", () => {
    write(join(folder, "home", "credentials.json"), { current: "s3://states" });
    expect(loggedIn()).toBe("s3://states");
    vi.stubEnv("PULUMI_BACKEND_URL", "file:///states");
    expect(loggedIn()).toBe("file:///states");
    expect(backendEnvironment()).toEqual({ PULUMI_SKIP_UPDATE_CHECK: "true" });
    expect(existsSync(join(home(), "passphrase"))).toBe(false);
  });
});

describe("the folder that Pulumi runs in", () => {
  const stackFile = (workDir: string) => parse(readFileSync(join(workDir, "Pulumi.dev.yaml"), "utf8"));
  const target = { cluster: "context", context: "mine", why: "" } as const;

  it("has the program of this checkout and the user's stack file with the cluster's context", () => {
    const { workDir } = projectFolder(file, target);
    expect(parse(readFileSync(join(workDir, "Pulumi.yaml"), "utf8")).main).toBe(join(process.cwd(), "main.mjs"));
    expect(stackFile(workDir)).toEqual({
      config: { "data-platform:redis": { replicas: 1 }, "kubernetes:context": "mine" },
    });
    expect(readFileSync(file.path, "utf8")).not.toContain("mine");
  });

  it("has no context of a local cluster, which is in its kubeconfig, unless the stack would then create a cluster", () => {
    write(kubeconfigPath(), { "current-context": "kind-data-platform" });
    const local = { cluster: "kind", why: "" } as const;
    const { workDir, env } = projectFolder(file, local);
    expect(stackFile(workDir).config).not.toHaveProperty("kubernetes:context");
    expect(env.KUBECONFIG).toBe(kubeconfigPath());
    projectFolder({ ...file, config: { "data-platform:global": { cluster: "kind" } } }, local);
    expect(stackFile(workDir).config["kubernetes:context"]).toBe("kind-data-platform");
  });

  it("keeps the salt that Pulumi wrote there, unless the user's file has one", () => {
    const { workDir } = projectFolder(file);
    writeFileSync(join(workDir, "Pulumi.dev.yaml"), stringify({ encryptionsalt: "noted" }));
    expect(stackFile(projectFolder(file).workDir).encryptionsalt).toBe("noted");
    writeFileSync(file.path, stringify({ encryptionsalt: "theirs", config: {} }));
    expect(stackFile(projectFolder(file).workDir).encryptionsalt).toBe("theirs");
  });

  it("is separate for each backend, since each has its own salt", () => {
    const { workDir } = projectFolder(file);
    vi.stubEnv("PULUMI_BACKEND_URL", "file:///states");
    expect(projectFolder(file).workDir).not.toBe(workDir);
  });
});

describe("the state", () => {
  const resource = { urn: "urn", type: "kubernetes:core/v1:Service", custom: true };

  it("is read from its file, with the pending operations of a killed update", async () => {
    const pending = { type: "creating", resource };
    const latest = { resources: [resource], pending_operations: [pending] };
    write(join(home(), ".pulumi/stacks/data-platform/dev.json"), { checkpoint: { latest } });
    const state = await stateOf(file);
    expect(state).toEqual({ resources: [resource], pending: [pending] });
    expect(inUse(state)).toBe(true);
  });

  it("is empty without a file, and for a destroyed stack", async () => {
    expect(await stateOf(file)).toEqual({ resources: [], pending: [] });
    write(join(home(), ".pulumi/stacks/data-platform/dev.json"), { checkpoint: { latest: {} } });
    expect(inUse(await stateOf(file))).toBe(false);
  });

  it("of another backend is read by pulumi", async () => {
    vi.stubEnv("PULUMI_BACKEND_URL", "file:///states");
    const answer = (script: string) => writeFileSync(join(folder, "pulumi"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
    answer(`test "$1" = version || echo '${JSON.stringify({ deployment: { resources: [resource] } })}'`);
    expect((await stateOf(file)).resources).toEqual([resource]);
    answer(`test "$1" = version || { echo "error: no stack named 'dev' found" >&2; exit 1; }`);
    expect((await stateOf(file)).resources).toEqual([]);
    answer(`test "$1" = version || { echo "error: cannot reach it" >&2; exit 1; }`);
    await expect(stateOf(file)).rejects.toMatchObject({ name: "UserError", message: "pulumi: error: cannot reach it" });
    rmSync(join(folder, "pulumi"));
    vi.stubEnv("PATH", folder);
    vi.stubEnv("PLATFORM_CACHE", join(folder, "cache"));
    await expect(stateOf(file)).rejects.toMatchObject({
      name: "UserError",
      message: "stack dev: its state is in a backend, and no pulumi is here to read it; expected pulumi on PATH",
    });
  });
});

describe("a lock", () => {
  const lock = () => join(home(), ".pulumi/locks/organization/data-platform/dev/one.json");

  it("of a pulumi that has ended is removed, even if another program has its process ID", async () => {
    await breakDeadLock(file);
    write(lock(), { pid: process.pid });
    await breakDeadLock(file);
    expect(existsSync(lock())).toBe(false);
  });

  it("in another backend is kept", async () => {
    write(lock(), { pid: process.pid });
    vi.stubEnv("PULUMI_BACKEND_URL", `file://${home()}`);
    await breakDeadLock(file);
    expect(existsSync(lock())).toBe(true);
  });
});
