// Proves `pulumi up`, `preview` and `destroy` on the local cluster, and that `pulumi` and `./platform` can share a
// stack.
// Does not prove any other cluster. The engine is the one on PATH, else Pulumi's release, else one built from Go
// modules.
// Exercises: postgresql, redis, minio.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findPulumi, presentEngine, pulumiSteps } from "../../cli/engine.ts";
import { stateDir } from "../../config/paths.ts";
import { kubeconfigPath } from "../../local/cluster/index.ts";
import { core, get, mustRun, query, roomFor, secret, unchanged } from "./kit.ts";

describe("the Pulumi engine", () => {
  const home = mkdtempSync(join(tmpdir(), "pulumi-"));
  const project = join(home, "project");

  let environment: Record<string, string>;

  const backend = {
    PULUMI_BACKEND_URL: `file://${join(home, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: "only for this test",
  };

  /** `pulumi …` on a copy of the project: the engine writes its encryption salt to the stack's file. */
  const pulumi = (args: string[], env: Record<string, string | undefined> = backend) =>
    execa("pulumi", [...args, "--non-interactive", "--color", "never"], {
      cwd: project,
      reject: false,
      all: true,
      env: {
        KUBECONFIG: kubeconfigPath(),
        PULUMI_SKIP_UPDATE_CHECK: "true",
        ...env,
        ...environment,
      },
    });
  const must = async (args: string[], env?: Record<string, string | undefined>) => {
    const { exitCode, all } = await pulumi(args, env);
    if (exitCode !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${exitCode}:\n${all}`);
    return all;
  };
  const state = () => readFileSync(join(home, "state/.pulumi/stacks/data-platform/dev.json"), "utf8");

  beforeAll(async () => {
    const found = await findPulumi();
    console.log(`pulumi: ${found}`);
    for (const step of pulumiSteps(found)) await step.run(() => {});
    ({ environment } = await presentEngine());
    await roomFor(undefined);
    mkdirSync(join(home, "state"));
    for (const path of [
      "Pulumi.yaml",
      "Pulumi.dev.yaml",
      "package.json",
      "tsconfig.json",
      "main.mjs",
      "launch",
      "index.ts",
      "transforms.ts",
      "components",
      "config",
      "local",
    ])
      cpSync(path, join(project, path), { recursive: true });
    symlinkSync(resolve("node_modules"), join(project, "node_modules"));
    await must(["stack", "init", "dev"]);
    // Building the engine, if necessary, takes most of this time.
  }, 3_600_000);

  afterAll(async () => {
    await pulumi(["destroy", "--yes", "--stack", "dev"]);
  });

  it("brings the stack up with servers that answer", async () => {
    expect(await must(["up", "--yes", "--stack", "dev"])).toMatch(/\+ \d+ created/);
    const { password = "" } = await secret("postgresql-user-nessie");
    expect(await query("nessie", password, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  it("keeps every secret encrypted in its state, and none in its outputs", async () => {
    const names = ["postgresql-admin", "postgresql-user-nessie", "redis-admin", "minio-admin", "minio-platform"];
    const values = (await Promise.all(names.map((name) => secret(name))))
      .flatMap(Object.values)
      .filter((value) => value.length === 32);
    expect(values).toHaveLength(5);
    const outputs = await must(["stack", "output", "--json", "--show-secrets"]);
    for (const value of values) expect(`${state()}${outputs}`.includes(value)).toBe(false);
  });

  it("previews no change", async () => {
    await must(["preview", "--stack", "dev", "--expect-no-changes"]);
    await must(["preview", "--stack", "dev", "--expect-no-changes", "--refresh"]);
  });

  it("previews a changed value as the update of one ConfigMap and one StatefulSet, without a replacement", async () => {
    await must(["config", "set", "--stack", "dev", "--path", "data-platform:redis.maxMemoryPercent", "50"]);
    const preview = await must(["preview", "--stack", "dev"]);
    expect(preview).toMatch(/ConfigMap\s+redis-config\s+update/);
    expect(preview).toMatch(/StatefulSet\s+redis\s+update/);
    expect(preview).toMatch(/~ 2 to update/);
    expect(preview).not.toMatch(/replace|delete|create /);
    expect(await must(["up", "--yes", "--stack", "dev"])).toMatch(/~ 2 updated/);
  });

  it("refuses in the preview to shrink a volume, and names the key", async () => {
    await must(["config", "set", "--stack", "dev", "--path", "data-platform:redis.storage.size", "512Mi"]);
    const { exitCode, all } = await pulumi(["preview", "--stack", "dev"]);
    expect(exitCode).not.toBe(0);
    expect(all).toContain("stack dev: redis.storage.size: found 512Mi; expected at least 1Gi");
    await must(["config", "set", "--stack", "dev", "--path", "data-platform:redis.storage.size", "1Gi"]);
  });

  // Pulumi once took half a minute to format the stack trace of an error: the timeout covers that.
  it("prints a configuration error as written, without a stack trace", { timeout: 45_000 }, async () => {
    await must(["config", "set", "--stack", "dev", "--path", "data-platform:redis.image", "redis:latest"]);
    const { exitCode, all } = await pulumi(["preview", "--stack", "dev"]);
    expect(exitCode).not.toBe(0);
    expect(all).toContain('stack dev: redis.image: found "redis:latest"');
    expect(all).not.toMatch(/at .*\.(ts|js):\d+/);
    await must(["config", "rm", "--stack", "dev", "--path", "data-platform:redis.image"]);
  });

  it("destroys it all", async () => {
    await must(["destroy", "--yes", "--stack", "dev"]);
    expect(await get("Namespace", core)).toBeUndefined();
  });

  describe("and ./platform share a stack:", { timeout: 900_000 }, () => {
    const elsewhere = { env: backend };
    // The stack file of the plain command, with the value that was set above.
    const ofStack = ["--stack", "dev", "--config-file", join(project, "Pulumi.dev.yaml")];
    const onDisk = () => ({
      PULUMI_BACKEND_URL: `file://${join(stateDir(), "pulumi")}`,
      PULUMI_CONFIG_PASSPHRASE_FILE: join(stateDir(), "pulumi/passphrase"),
      PULUMI_CONFIG_PASSPHRASE: undefined,
    });

    it("./platform finds nothing to change after pulumi", async () => {
      await must(["up", "--yes", "--stack", "dev"]);
      const { password } = await secret("postgresql-user-nessie");
      expect(await mustRun(["preview", ...ofStack], elsewhere)).toMatch(unchanged);
      expect(await mustRun(["up", ...ofStack], elsewhere)).toMatch(unchanged);
      await must(["preview", "--stack", "dev", "--expect-no-changes"]);
      expect((await secret("postgresql-user-nessie")).password).toBe(password);
      await mustRun(["destroy", ...ofStack], elsewhere);
      expect(await get("Namespace", core)).toBeUndefined();
    });

    it("pulumi finds nothing to change after ./platform", async () => {
      // The stack's file as in a checkout: the salt of another backend does not fit this one.
      cpSync("Pulumi.dev.yaml", join(project, "Pulumi.dev.yaml"));
      await mustRun(["up", ...ofStack]);
      const { password = "" } = await secret("postgresql-user-nessie");
      expect(await query("nessie", password, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
      await must(["preview", "--stack", "dev", "--expect-no-changes"], onDisk());
      await must(["up", "--yes", "--stack", "dev", "--expect-no-changes"], onDisk());
      expect(await mustRun(["up", ...ofStack])).toMatch(unchanged);
      expect((await secret("postgresql-user-nessie")).password).toBe(password);
      await mustRun(["destroy", ...ofStack]);
      expect(await get("Namespace", core)).toBeUndefined();
    });
  });
});
