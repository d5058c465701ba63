// Proves which files `./platform secrets` writes, with which rights, and that a seed gives the same passwords again.
// Does not prove that External Secrets finds the entries.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { secrets } from "../../cli/secrets.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "secrets-"));
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const read = (out: string) =>
  Object.fromEntries(readdirSync(out).map((name) => [name, parse(readFileSync(join(out, name), "utf8"))]));

it("writes Secrets alone, which only their owner reads, the same for the same seed", async () => {
  const [out, seedFile] = [join(folder, "out"), join(folder, "seed")];
  writeFileSync(seedFile, "0123456789abcdef");
  await secrets({ stack: "dev", out, as: "secrets", seedFile });
  const { "kustomization.yaml": kustomization, ...first } = read(out);
  expect(new Set(Object.values(first).map(({ kind }) => kind))).toEqual(new Set(["Secret"]));
  expect(kustomization.resources).toEqual(Object.keys(first).sort());
  expect(first["30-secret.dev-core.redis-admin.yaml"].stringData.password).toMatch(/^[A-Za-z0-9]{32}$/);
  expect(statSync(join(out, "30-secret.dev-core.redis-admin.yaml")).mode & 0o777).toBe(0o600);

  await secrets({ stack: "dev", out, as: "secrets", seedFile });
  expect(read(out)).toMatchObject(first);
  await secrets({ stack: "dev", out, as: "secrets" });
  expect(read(out)).not.toMatchObject(first);
});

it("writes what External Secrets reads from a store, and no password", async () => {
  const out = join(folder, "out");
  await secrets({ stack: "dev", out, as: "external-secrets", store: "vault" });
  const files = read(out);
  expect(files["90-externalsecret.dev-core.minio-platform.yaml"].spec).toEqual({
    refreshInterval: "1h",
    secretStoreRef: { kind: "ClusterSecretStore", name: "vault" },
    target: { name: "minio-platform" },
    data: ["access-key", "secret-key"].map((property) => ({
      secretKey: property,
      remoteRef: { key: "dev/dev-core/minio-platform", property },
    })),
  });
  expect(JSON.stringify(files)).not.toContain("stringData");
});

it.each([
  [{ as: "external-secrets" as const }, "found no --store"],
  [{ as: "secrets" as const, store: "vault" }, "found it without --as external-secrets"],
])("refuses %j", async (options, reason) => {
  await expect(secrets({ stack: "dev", out: join(folder, "out"), ...options })).rejects.toThrow(reason);
});
