import { type ImageDefinition, linkerVariables, type Software } from "../kit/image.ts";

const prometheusRelease = "3.13.5";
const alertmanagerRelease = "0.31.1";

/** The variable that holds the release of Prometheus' programs, and of exporters that are built like them. */
const release = "github.com/prometheus/common/version.Version";

export const monitoringImages: ImageDefinition[] = [
  {
    folder: "components/monitoring/images/prometheus",
    repositories: ["prom/prometheus", "quay.io/prometheus/prometheus"],
    tags: /^v3\b/,
    software: [{ name: "Prometheus 3.13.5", licence: "Apache-2.0", source: "LICENSE of its Go module" }],
    holds: `Prometheus ${prometheusRelease}, without its pages and finding targets in Kubernetes and files only (Go modules)`,
    artifacts: ["prometheus", "promtool"].map((output) => ({
      kind: "go",
      package: `github.com/prometheus/prometheus/cmd/${output}`,
      output,
      // Service discovery in two dozen clouds would be most of the code to compile.
      tags: ["netgo", "remove_all_sd", "enable_kubernetes_sd"],
      ldflags: linkerVariables({ [release]: prometheusRelease }),
    })),
  },
  {
    folder: "components/monitoring/images/alertmanager",
    repositories: ["prom/alertmanager", "quay.io/prometheus/alertmanager"],
    // Later modules lack the pages, which are compiled from Elm.
    tags: /^v0\.31\b/,
    software: [
      { name: `Alertmanager ${alertmanagerRelease}`, licence: "Apache-2.0", source: "LICENSE of its Go module" },
    ],
    holds: `Alertmanager ${alertmanagerRelease} (Go modules)`,
    artifacts: ["alertmanager", "amtool"].map((output) => ({
      kind: "go",
      package: `github.com/prometheus/alertmanager/cmd/${output}`,
      output,
      tags: ["netgo"],
      ldflags: linkerVariables({ [release]: alertmanagerRelease }),
    })),
  },
  {
    folder: "components/monitoring/images/postgres-exporter",
    repositories: ["quay.io/prometheuscommunity/postgres-exporter", "prometheuscommunity/postgres-exporter"],
    // 0.20 renamed metrics and flags.
    tags: /^v0\.19\b/,
    software: [{ name: "postgres_exporter 0.19.1", licence: "Apache-2.0", source: "LICENSE of its Go module" }],
    holds: "postgres_exporter 0.19.1 (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter",
        output: "postgres_exporter",
        ldflags: linkerVariables({ [release]: "0.19.1" }),
      },
    ],
  },
  {
    folder: "components/monitoring/images/redis-exporter",
    repositories: ["oliver006/redis_exporter", "quay.io/oliver006/redis_exporter", "ghcr.io/oliver006/redis_exporter"],
    // Variants based on a distribution have a shell, and this image has none.
    tags: /^v1[.\d]*$/,
    software: [{ name: "redis_exporter 1.88.0", licence: "MIT", source: "LICENSE of its Go module" }],
    holds: "redis_exporter 1.88.0 (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/oliver006/redis_exporter",
        output: "redis_exporter",
        // Its log and a metric have all three.
        ldflags: linkerVariables({
          "main.BuildVersion": "v1.88.0",
          "main.BuildDate": "2026-07-23-12:26:34",
          "main.BuildCommitSha": "16db88a0c2981c365aeca0973c43dd7d6a560f64",
        }),
      },
    ],
  },
  {
    folder: "components/monitoring/images/statsd-exporter",
    repositories: ["prom/statsd-exporter", "quay.io/prometheus/statsd-exporter"],
    // 0.31 refuses fields of a mapping that older ones take.
    tags: /^v0\.31\b/,
    software: [{ name: "statsd_exporter 0.31.0", licence: "Apache-2.0", source: "LICENSE of its Go module" }],
    holds: "statsd_exporter 0.31.0 (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/prometheus/statsd_exporter",
        output: "statsd_exporter",
        ldflags: linkerVariables({ [release]: "0.31.0" }),
      },
    ],
  },
  {
    folder: "components/monitoring/images/jmx-exporter",
    repositories: ["data-platform/jmx-exporter"],
    own: true,
    software: [
      { name: "JMX exporter 1.0.1", licence: "Apache-2.0", source: "its POM on Maven Central" },
      { name: "busybox 1.36", licence: "GPL-2.0-only", source: "Debian's copyright file" },
    ],
    holds: "the JMX exporter 1.0.1 (Maven)",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];

/** Grafana's image, which no package has, so that it has no definition. */
export const grafana: { repositories: string[]; software: readonly Software[] } = {
  repositories: ["grafana/grafana"],
  software: [{ name: "Grafana 12", licence: "AGPL-3.0-only", source: "LICENSING.md of its repository" }],
};
