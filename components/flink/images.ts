import type { ImageDefinition } from "../kit/image.ts";

export const flinkImages: ImageDefinition[] = [
  {
    folder: "components/flink/images/flink",
    repositories: ["flink"],
    tags: /^2\b/,
    software: [{ name: "Flink 2.3.0", licence: "Apache-2.0", source: "its POM on Maven Central" }],
    holds: "Flink 2.3.0 (PyPI) with its S3 file systems (Maven), OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
  {
    folder: "components/flink/images/flink-iceberg",
    repositories: ["data-platform/flink"],
    own: true,
    software: [
      { name: "Flink 2.3.0", licence: "Apache-2.0", source: "its POM on Maven Central" },
      { name: "Iceberg 1.11.0", licence: "Apache-2.0", source: "its POM on Maven Central" },
      { name: "Hadoop 3.4.2", licence: "Apache-2.0", source: "its POM on Maven Central" },
    ],
    holds: "Flink with Iceberg 1.11.0 (Maven)",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];
