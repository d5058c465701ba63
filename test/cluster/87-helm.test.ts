// Proves that Helm installs the stack dev from the chart with every component ready, and that `helm test` passes; that ten
// upgrades keep every password and pod, and that a changed value or image rolls one component alone; that a failed upgrade
// leaves the old pods serving and rolls back; that an uninstall can keep the data, which an install from an OCI registry
// finds again; and that one without protection deletes everything.
// Does not prove the components that dev has not, Argo CD and Flux.
// Exercises: postgresql, redis, minio, nessie, noetl, noetl-nats, polls, web-app, deployd, charts.
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { binary } from "../../local/cluster/binaries.ts";
import { chart, helm, Release, waiting } from "./helm.ts";
import { deleteNamespaces, get, podsOf, query, read, roomFor, s3, secret } from "./kit.ts";

const [core, apps] = ["dev-core", "dev-apps"];
const namespaces = [core, apps, "dev-deployed"];
const values = ["--values", `${chart}/values-dev.yaml`];
const registry = "localhost:5001";
const release = new Release(namespaces);
const upgrade = (...args: string[]) => helm("upgrade", "dev", chart, "--reuse-values", ...args);

beforeAll(async () => {
  await roomFor(undefined);
  await helm("install", "dev", chart, ...values, "--create-namespace", ...waiting("10m"));
});

afterAll(async () => {
  await helm("uninstall", "dev", "--ignore-not-found", "--wait");
  await deleteNamespaces([...namespaces, "platform"]);
});

it("every component is ready after the install", async () => {
  expect(await release.unready()).toEqual([]);
  console.log(`restarts until ready: ${(await release.restarts()).join(", ") || "none"}`);
});

it("helm test passes", async () => {
  const printed = await helm("test", "dev", "--timeout", "5m");
  expect(printed.match(/Phase:\s+Succeeded/g)?.length).toBeGreaterThanOrEqual(8);
  expect(printed).not.toMatch(/Phase:\s+Failed/);
});

const adminOf = async (name: string) => (await secret(name, core)).password ?? "";
const objects = async () => {
  const keys = await secret("minio-platform", core);
  return s3(keys["access-key"] ?? "", keys["secret-key"] ?? "");
};

describe("with data", () => {
  let first: Record<string, unknown>;
  beforeAll(async () => {
    first = await release.secrets();
    expect(Object.keys(first).filter((name) => !name.includes("helm.release")).length).toBeGreaterThan(8);
    await query("postgres", await adminOf("postgresql-admin"), "CREATE TABLE proof AS SELECT 'kept' AS word");
    await (await objects()).putObject("warehouse", "proof", "kept");
  });

  const isKept = async () => {
    expect(await release.secrets()).toEqual(first);
    expect(await query("postgres", await adminOf("postgresql-admin"), "SELECT word FROM proof")).toEqual([
      { word: "kept" },
    ]);
    expect(await read(await objects(), "warehouse", "proof")).toBe("kept");
  };

  it("ten upgrades keep every password and every pod", { timeout: 600_000 }, async () => {
    const rolled = await release.rolledBy(async () => {
      for (let i = 0; i < 10; i++) await upgrade();
    });
    expect(rolled).toEqual([]);
    await isKept();
  });

  it("one value rolls its component and nothing else", async () => {
    const rolled = await release.rolledBy(() =>
      upgrade("--set", "nessie.resources.limits.memory=704Mi", ...waiting("10m")),
    );
    expect(rolled).toEqual(["nessie"]);
    await isKept();
  });

  it("another image rolls its component and nothing else", async () => {
    const crane = await binary("crane");
    const polls = `${registry}/data-platform/polls`;
    await execa(crane, ["copy", "--insecure", `${polls}:1.0.0`, `${polls}:1.0.0-copy`]);
    const rolled = await release.rolledBy(() =>
      upgrade("--set", "polls.image=data-platform/polls:1.0.0-copy", ...waiting("10m")),
    );
    expect(rolled).toEqual(["polls"]);
    await isKept();
  });

  /** What polls answers at the address of its pod, which it knows as its host. */
  async function answers(): Promise<number> {
    const [name = ""] = await podsOf("polls", "web", apps);
    const ip = (await get("Pod", name, apps))?.status?.podIP;
    return (await fetch(`http://${ip}:8000/healthz`)).status;
  }

  it("a failed upgrade leaves the old pods serving, and rolls back", { timeout: 600_000 }, async () => {
    const broken = upgrade("--set", "polls.image=data-platform/polls:none", "--wait", "--timeout", "60s");
    await expect(broken).rejects.toThrow(/polls/);
    expect(await answers()).toBe(200);
    await helm("rollback", "dev", ...waiting("10m"));
    expect(await release.unready()).toEqual([]);
    expect(await answers()).toBe(200);
    await isKept();
  });

  it("a smaller volume is refused before anything changes", async () => {
    await expect(upgrade("--set", "postgresql.storage.size=2Gi")).rejects.toThrow(/postgresql\.storage\.size/);
    expect(await helm("status", "dev")).toMatch(/STATUS: deployed/);
  });

  it("an uninstall keeps protected data, and an install from a registry finds it", { timeout: 900_000 }, async () => {
    await upgrade("--set", "global.protectData=true");
    await helm("uninstall", "dev", "--wait", "--cascade", "foreground");
    expect(await release.components()).toEqual(new Map());
    expect(await get("PersistentVolumeClaim", "data-postgresql-0", core)).toBeDefined();

    const folder = mkdtempSync(join(tmpdir(), "data-platform-chart-"));
    await helm("package", chart, "--destination", folder);
    const [archive = ""] = readdirSync(folder);
    await helm("push", join(folder, archive), `oci://${registry}/charts`, "--plain-http");
    const from = `oci://${registry}/charts/data-platform`;
    await helm(
      "install",
      "dev",
      from,
      "--plain-http",
      ...values,
      "--set",
      "global.protectData=true",
      ...waiting("10m"),
    );
    expect(await release.unready()).toEqual([]);
    await isKept();
  });

  it("an uninstall without protection deletes everything", { timeout: 600_000 }, async () => {
    await upgrade("--set", "global.protectData=false");
    await helm("uninstall", "dev", "--wait", "--cascade", "foreground");
    for (const name of namespaces) expect(await get("Namespace", name)).toBeUndefined();
  });
});
