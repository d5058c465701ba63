// Proves for the cache of built images on disk: what counts as built, and what a newer build removes.
// Does not prove pushing: that takes a registry, which the cluster tests have.
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { allBuilt, blobDir, builtUnder, keep, sha256 } from "../../local/images/store.ts";

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "images-"));
  vi.stubEnv("PLATFORM_CACHE", cache);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true });
});

/** An image as buildah writes it: its manifest, and its configuration and layers named by digest. */
async function image(...layers: string[]): Promise<string> {
  const folder = join(cache, "layout");
  await mkdir(folder);
  const blobs = [`config of ${layers.join()}`, ...layers];
  for (const blob of blobs) await writeFile(join(folder, sha256(blob)), blob);
  const [config, ...rest] = blobs.map((blob) => ({ digest: `sha256:${sha256(blob)}`, size: blob.length }));
  await writeFile(join(folder, "manifest.json"), JSON.stringify({ config, layers: rest }));
  await writeFile(join(folder, "version"), "Directory Transport Version: 1.1\n");
  return folder;
}

async function build(key: string, reference: string, ...layers: string[]) {
  const folder = await image(...layers);
  const built = await keep(folder, key, { reference, seconds: 1 });
  await rm(folder, { recursive: true });
  return built;
}

const blobs = () => readdir(join(blobDir(), "sha256"));
const layer = (content: string) => join(blobDir(), "sha256", sha256(content));

describe("the cache of built images", () => {
  it("finds an image only by its key, with the bytes of its layers", async () => {
    const built = await build("one", "redis:8.2.1", "base", "redis");
    expect(built).toMatchObject({ reference: "redis:8.2.1", bytes: "baseredis".length });
    expect(await builtUnder("one")).toEqual(built);
    expect(await builtUnder("two")).toBeUndefined();
  });

  it.each([
    ["is missing", () => rm(layer("redis"))],
    ["was cut off", () => truncate(layer("redis"), 2)],
  ])("does not count an image as built if a layer %s", async (_, damage) => {
    await build("one", "redis:8.2.1", "base", "redis");
    await damage();
    expect(await builtUnder("one")).toBeUndefined();
    expect(await allBuilt()).toEqual([]);
  });

  it("ignores a truncated record", async () => {
    await build("one", "redis:8.2.1", "base", "redis");
    await truncate(join(cache, "images", "keys", "one.json"), 5);
    expect(await builtUnder("one")).toBeUndefined();
    expect(await allBuilt()).toEqual([]);
    await build("two", "redis:8.2.1", "base", "redis");
    expect((await allBuilt()).length).toBe(1);
  });

  it("removes what a newer build replaces, except layers of other images", async () => {
    await build("other", "postgres:17.11", "base", "postgres");
    await build("old", "docker.io/library/redis:8.2.1", "base", "old redis");
    await build("new", "redis:8.2.1", "base", "new redis");
    expect((await allBuilt()).map((built) => built.reference).sort()).toEqual(["postgres:17.11", "redis:8.2.1"]);
    expect(await blobs()).not.toContain(sha256("old redis"));
    expect(await builtUnder("other")).toBeDefined();
    // Per image a manifest, a configuration and a layer; plus the base layer of both.
    expect((await blobs()).length).toBe(7);
  });

  it("keeps an image whose new build is identical", async () => {
    await build("old", "redis:8.2.1", "base", "redis");
    const built = await build("new", "redis:8.2.1", "base", "redis");
    expect(await builtUnder("new")).toEqual(built);
  });
});
