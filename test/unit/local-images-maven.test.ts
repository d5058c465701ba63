// Proves for images built from Maven's packages: pinned versions, how Maven is called, our own scripts. A program that
// records its arguments replaces mvn and java.
// Does not prove that a server starts: the cluster tests run them.

import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { flinkImage } from "../../components/flink/schema.ts";
import { sparkImage } from "../../components/spark/schema.ts";
import { make } from "../../local/images/artifacts.ts";
import { definitionOf, definitions, folderOf } from "../../local/images/definitions.ts";

const fromMaven = definitions.filter((definition) => definition.artifacts?.some(({ kind }) => kind === "maven"));
const pomOf = (folder: string) => readFileSync(join(folder, "pom.xml"), "utf8");

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "maven-test-"));
  vi.stubEnv("PATH", `${scratch}:${process.env.PATH}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(scratch, { recursive: true });
});

/** Puts a program on PATH that prints its arguments, one per line. */
function program(name: string, then = ""): void {
  writeFileSync(
    join(scratch, name),
    `#!/bin/sh\nprintf '%s\\n' "$@" | tee ${join(scratch, `${name}.args`)}\n${then}\n`,
  );
  chmodSync(join(scratch, name), 0o755);
}

describe("pom.xml", () => {
  it.each(fromMaven.map((it) => [it.folder, it] as const))("%s pins every version", (_, it) => {
    const pom = pomOf(folderOf(it));
    const versions = [...pom.matchAll(/<dependency>(?:.|\n)*?<version>(.*?)<\/version>/g)].map(
      ([, version]) => version,
    );
    expect(versions).toHaveLength([...pom.matchAll(/<dependency>/g)].length);
    for (const version of versions) expect(version).toMatch(/^\d[\w.]*$/);
  });

  it.each(
    fromMaven.filter((it) => it.folder !== "components/flink/images/flink").map((it) => [it.folder, it] as const),
  )("%s is what is said to be inside", (_, it) => {
    const [version] = /\d+(\.\d+)*/.exec(it.holds)!;
    expect(pomOf(folderOf(it))).toContain(`<version>${version}</version>`);
  });

  it.each([
    [
      "components/flink/images/flink",
      "components/flink/images/flink",
      "flink-s3-fs-presto",
      /apache-flink-libraries==([\d.]+)/,
    ],
    [
      "components/spark/images/spark",
      "components/spark/images/spark-iceberg",
      "iceberg-spark-runtime-4.1_2.13",
      /pyspark==(4\.1)\./,
    ],
  ])("%s: what is in %s fits the version that comes from PyPI", (stands, folder, dependency, pin) => {
    const of = (name: string) => folderOf(definitions.find((one) => one.folder === name)!);
    const dockerfile = readFileSync(join(of(stands), "Dockerfile"), "utf8");
    const [, version] = pin.exec(dockerfile)!;
    const [, near] = new RegExp(`(${dependency}</artifactId>\\s*<version>.*)</version>`).exec(pomOf(of(folder)))!;
    expect(near).toContain(version);
  });

  it("of the platform's Flink matches the Flink version of its base image", () => {
    const folder = folderOf(definitions.find((one) => one.folder === "components/flink/images/flink-iceberg")!);
    const [, base] = /FLINK=(flink:\S+)/.exec(readFileSync(join(folder, "Dockerfile"), "utf8"))!;
    expect(base).toBe(`${flinkImage.replace("data-platform/", "")}-java21`);
    expect(definitionOf(base!)?.folder).toBe("components/flink/images/flink");
  });

  it("of the platform's Spark matches the Spark version of its base image", () => {
    const folder = folderOf(definitions.find((one) => one.folder === "components/spark/images/spark-iceberg")!);
    const [, base] = /SPARK=(apache\/spark:\S+)/.exec(readFileSync(join(folder, "Dockerfile"), "utf8"))!;
    expect(base!.split(":")[1]).toBe(sparkImage.split(":")[1]);
    expect(definitionOf(base!)?.folder).toBe("components/spark/images/spark");
    // The versions it is built with: it is incompatible with another AWS SDK or Hadoop.
    const jars = pomOf(folder);
    expect(new Set(/software.amazon.awssdk/.test(jars) ? jars.match(/<version>2\.[\d.]+<\/version>/g) : []).size).toBe(
      1,
    );
  });
});

describe("images built from packages", () => {
  it("are used for the major versions whose configuration they accept", () => {
    expect(definitionOf("apache/kafka:4.3.1")?.folder).toBe("components/kafka/images/kafka");
    expect(definitionOf("apache/kafka:3.9.0")).toBeUndefined();
    expect(definitionOf("flink:2.3.0-java17")?.folder).toBe("components/flink/images/flink");
    expect(definitionOf("flink:1.20.0")).toBeUndefined();
    expect(definitionOf("apache/spark:4.1.2-scala2.13-java21-python3-ubuntu")?.folder).toBe(
      "components/spark/images/spark",
    );
    expect(definitionOf("apache/spark:3.5.7")).toBeUndefined();
  });
});

describe("Maven", () => {
  const artifact = { kind: "maven", output: "jars" } as const;

  it("copies the pom's files into the context, and refuses a damaged one", async () => {
    program("mvn");
    await make(artifact, "/definition", scratch, () => {});
    const args = readFileSync(join(scratch, "mvn.args"), "utf8").trim().split("\n");
    expect(args).toContain("--strict-checksums");
    expect(args).toContain(`-DoutputDirectory=${join(scratch, "jars")}`);
    expect(args[args.indexOf("--file") + 1]).toBe("/definition/pom.xml");
    expect(args).toContainEqual(expect.stringMatching(/:maven-dependency-plugin:\d[\d.]*:copy-dependencies$/));
  });

  it("reports its downloads", async () => {
    program("mvn", "echo '[INFO] Downloading from central: https://repo.example/maven2/a/b/1/b-1.jar'");
    const said: string[] = [];
    await make(artifact, "/definition", scratch, (line) => said.push(line));
    expect(said).toEqual(["downloading b-1.jar"]);
  });

  it("fails with its last output and what to check", async () => {
    program("mvn", "echo '[ERROR] Could not find artifact a:b:jar:1'; exit 1");
    await expect(make(artifact, "/definition", scratch, () => {})).rejects.toThrow(
      /^`mvn copy-dependencies \(jars\)` failed with exit code 1:(.|\n)*Could not find artifact(.|\n)*Check that Maven/,
    );
  });
});

describe("Kafka's scripts", () => {
  const folder = join(folderOf(definitions.find((it) => it.folder === "components/kafka/images/kafka")!), "bin");
  const runClass = (args: string[], env: Record<string, string> = {}) => {
    program("java");
    const options = {
      encoding: "utf8",
      env: { PATH: process.env.PATH, LOG_DIR: join(scratch, "logs"), ...env },
    } as const;
    return execFileSync("sh", [join(folder, "kafka-run-class.sh"), ...args], options)
      .trim()
      .split("\n");
  };

  it("run a class with the environment's heap and options, and unchanged arguments", () => {
    const args = runClass(["kafka.Kafka", "a b", "*"], { KAFKA_HEAP_OPTS: "-Xms1m -Xmx2m", KAFKA_OPTS: "-Da=b" });
    expect(args.slice(0, 2)).toEqual(["-Xms1m", "-Xmx2m"]);
    expect(args.slice(-4)).toEqual(["-Da=b", "kafka.Kafka", "a b", "*"]);
    expect(args[args.indexOf("-cp") + 1]).toBe("/opt/kafka/libs/*");
  });

  it("have a default heap", () => {
    expect(runClass(["X"])[0]).toBe("-Xmx256M");
  });

  it("write the server's garbage collection to the folder of logs, as the distribution's do", () => {
    const args = runClass(["-name", "kafkaServer", "-loggc", "kafka.Kafka"]);
    expect(args.find((arg) => arg.startsWith("-Xlog:gc"))).toContain(`file=${scratch}/logs/kafkaServer-gc.log`);
    expect(existsSync(join(scratch, "logs"))).toBe(true);
    expect(runClass(["-loggc", "kafka.Kafka"], { KAFKA_GC_LOG_OPTS: "" }).join()).not.toContain("-Xlog");
  });

  it("open JMX on the configured port", () => {
    expect(runClass(["X"], { JMX_PORT: "9999" })).toContain("-Dcom.sun.management.jmxremote.port=9999");
    expect(runClass(["X"]).join()).not.toContain("jmxremote");
  });

  it("name each tool once", () => {
    const tools = readFileSync(join(folder, "tools"), "utf8").trim().split("\n");
    for (const tool of tools) expect(tool).toMatch(/^kafka-[\w-]+ (org\.apache\.)?kafka(\.\w+)+$/);
    const names = [...tools.map((tool) => `${tool.split(" ")[0]}.sh`), ...readdirSync(folder)];
    expect(new Set(names).size).toBe(names.length);
  });
});
