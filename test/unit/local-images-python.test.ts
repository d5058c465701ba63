// Proves that images built from PyPI's packages, and Prometheus, are pinned and contain what they must.
// Does not prove that a server starts: the cluster tests run them.

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { make } from "../../local/images/artifacts.ts";
import { definitionOf, folderOf } from "../../local/images/definitions.ts";
import { imagesUnder } from "../../local/images/dockerfile.ts";
import { inOrder } from "../../local/images/index.ts";

const images = ["apache/airflow:3.3.2", "apache/superset:6.1.0"];
const standIn = (image: string) => definitionOf(image)!;
const fileOf = (image: string, name: string) => readFileSync(join(folderOf(standIn(image)), name), "utf8");
const derived = fileURLToPath(new URL("../../components/superset/images/superset-drivers/", import.meta.url));
const drivers = readFileSync(join(derived, "requirements.txt"), "utf8");

/** The packages of a list and their versions. A line without an exact pin has none. */
function pins(requirements: string): [string, string | undefined][] {
  const lines = requirements.split("\n").filter((line) => line && !line.startsWith("#"));
  return lines.map((line) => {
    const [, name, version] = /^([a-z0-9-]+)==(\d[\w.]*)$/.exec(line) ?? [];
    return [name ?? line, version];
  });
}

describe("requirements", () => {
  it.each([
    ["Airflow", fileOf("apache/airflow:3.3.2", "requirements.txt")],
    ["Superset", fileOf("apache/superset:6.1.0", "requirements.txt")],
    ["Superset's drivers", drivers],
  ])("of %s pin every package exactly, and once", (_, requirements) => {
    const all = pins(requirements);
    expect(all.length).toBeGreaterThan(0);
    expect(all.filter(([, version]) => !version)).toEqual([]);
    expect(new Set(all.map(([name]) => name)).size).toBe(all.length);
  });

  it.each(images)("contain what the definition of %s says", (image) => {
    const [, name, version] = /^(.*\/.*):(.*)$/.exec(image)!;
    const requirements = fileOf(image, "requirements.txt");
    expect(pins(requirements)).toContainEqual([name!.replace("/", "-"), version]);
    expect(standIn(image).holds).toContain(version);
    expect(standIn(image).holds).toContain(`Python ${/--python-version (\S+)/.exec(requirements)![1]}`);
  });

  it.each([["apache/airflow:3.3.1"], ["apache/airflow:3.3.20"], ["apache/superset:6.0.0"], ["apache/superset:latest"]])(
    "are of no other release: %s",
    (image) => {
      expect(definitionOf(image)).toBeUndefined();
    },
  );

  it("have a variant of the release's tag too", () => {
    expect(definitionOf("apache/airflow:3.3.2-python3.13")).toBe(standIn("apache/airflow:3.3.2"));
  });
});

describe("Superset with drivers", () => {
  const base = new Map(pins(fileOf("apache/superset:6.1.0", "requirements.txt")));

  it("is based on the official image's name, which has an older Debian", () => {
    const under = imagesUnder(readFileSync(join(derived, "Dockerfile"), "utf8"));
    expect(under).toEqual(["apache/superset:6.1.0"]);
    expect(inOrder(under)).toEqual(["debian:bookworm-slim", "apache/superset:6.1.0"]);
    expect(definitionOf("debian:bookworm-slim")).not.toBe(definitionOf("debian:trixie-slim"));
  });

  it("adds the drivers that the base lacks, and changes no version", () => {
    for (const driver of ["psycopg2-binary", "trino", "clickhouse-connect"]) {
      expect(base.has(driver)).toBe(false);
      expect(new Map(pins(drivers)).has(driver)).toBe(true);
    }
    for (const [name, version] of pins(drivers)) expect(base.get(name) ?? version).toBe(version);
  });
});

describe("Prometheus", () => {
  const definition = definitionOf("prom/prometheus:v3.13.5")!;
  afterEach(() => void vi.unstubAllEnvs());

  it("is the release it calls itself: the module's minor version has the major one in it", () => {
    const [, major, minor, patch] = /(\d+)\.(\d+)\.(\d+)/.exec(definition.holds)!;
    const version = `v0.${Number(major) * 100 + Number(minor)}.${patch}`;
    const [, required] = /prometheus\/prometheus (v\S+)/.exec(fileOf("prom/prometheus:v3", "go/go.mod"))!;
    expect(required).toBe(version);
  });

  it("is compiled with the build tags that exclude cloud providers", async () => {
    const scratch = mkdtempSync(join(tmpdir(), "go-test-"));
    const go = join(scratch, "go");
    writeFileSync(go, `#!/bin/sh\nprintf '%s ' "$@" > ${join(scratch, "args")}\n`);
    chmodSync(go, 0o755);
    vi.stubEnv("PATH", `${scratch}:${process.env.PATH}`);
    try {
      await make(definition.artifacts![0]!, folderOf(definition), scratch, () => {});
      expect(readFileSync(join(scratch, "args"), "utf8")).toContain(" -tags netgo,remove_all_sd,enable_kubernetes_sd ");
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
});
