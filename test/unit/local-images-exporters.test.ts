// Proves that each metrics exporter, and Alertmanager, is the release in its name, and replaces no other variant.
// Does not prove that one starts or what it exports: the cluster tests run them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { definitionOf, folderOf } from "../../local/images/definitions.ts";

const exporters = [
  "quay.io/prometheuscommunity/postgres-exporter:v0.19.1",
  "oliver006/redis_exporter:v1.88.0",
  "prom/statsd-exporter:v0.31.0",
  "prom/alertmanager:v0.31.1",
];

describe.each(exporters)("%s", (image) => {
  const definition = definitionOf(image)!;
  const artifact = definition.artifacts![0]!;
  const version = image.split(":")[1]!;
  const fileOf = (name: string) => readFileSync(join(folderOf(definition), name), "utf8");

  it("has the tag's release in its pins, its version stamp and its description", () => {
    if (artifact.kind !== "go") throw new Error("made of something else");
    const [, tools = ""] = /^tool (\(.*?^\)|\S+$)/ms.exec(fileOf("go/go.mod"))!;
    expect(tools.split(/[\s()]+/)).toContain(artifact.package);
    const module = artifact.package.split("/").slice(0, 3).join("/");
    expect(fileOf("go/go.mod")).toContain(`\t${module} ${version} `);
    expect(artifact.ldflags).toMatch(new RegExp(`ersion=${version.replace("v", "v?")}( |$)`));
    expect(definition.holds).toContain(version.slice(1));
  });

  it("runs as the official image's user, which is not root", () => {
    const stage = fileOf("Dockerfile")
      .split(/^FROM /m)
      .at(-1)!;
    expect(stage).toMatch(/^USER (nobody|65534|59000:59000)$/m);
    expect(stage).toMatch(new RegExp(`^ENTRYPOINT \\["(/bin)?/${artifact.output}"\\]$`, "m"));
  });
});

describe("exporters", () => {
  it.each([
    ["postgres-exporter", "prometheuscommunity/postgres-exporter:v0.19.1"],
    ["redis-exporter", "quay.io/oliver006/redis_exporter:v1.88.0"],
    ["statsd-exporter", "quay.io/prometheus/statsd-exporter:v0.31.0"],
    ["alertmanager", "quay.io/prometheus/alertmanager:v0.31.1"],
  ])("%s is used for %s", (folder, image) => {
    expect(definitionOf(image)?.folder).toBe(`components/monitoring/images/${folder}`);
  });

  it.each([
    "prometheuscommunity/postgres-exporter:v0.20.1",
    "oliver006/redis_exporter:v2.0.0",
    "oliver006/redis_exporter:v1.88.0-alpine",
    "prom/statsd-exporter:v0.30.0",
    "prom/alertmanager:v0.35.0",
  ])("are not used for %s, which is configured or built differently", (image) => {
    expect(definitionOf(image)).toBeUndefined();
  });
});
