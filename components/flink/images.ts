import type { ImageDefinition } from "../kit/image.ts";

export const flinkImages: ImageDefinition[] = [
  {
    folder: "components/flink/images/flink",
    repositories: ["flink"],
    tags: /^2\b/,
    holds: "Flink 2.3.0 (PyPI) with its S3 file systems (Maven), OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
  {
    folder: "components/flink/images/flink-iceberg",
    repositories: ["data-platform/flink"],
    own: true,
    holds: "Flink with Iceberg 1.11.0 (Maven)",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];
