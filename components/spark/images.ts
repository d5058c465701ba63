import type { ImageDefinition } from "../kit/image.ts";

export const sparkImages: ImageDefinition[] = [
  {
    folder: "components/spark/images/spark",
    repositories: ["apache/spark", "spark"],
    tags: /^4\b/,
    software: [{ name: "Spark 4.1.4", licence: "Apache-2.0", source: "LICENSE in its jar" }],
    holds: "Spark 4.1.4 (PyPI), OpenJDK 21, Python 3.13",
  },
  {
    folder: "components/spark/images/spark-iceberg",
    repositories: ["data-platform/spark"],
    own: true,
    software: [
      { name: "Spark 4.1.4", licence: "Apache-2.0", source: "LICENSE in its jar" },
      { name: "Iceberg 1.12.0", licence: "Apache-2.0", source: "its POM on Maven Central" },
      { name: "Hadoop 3.4.2", licence: "Apache-2.0", source: "its POM on Maven Central" },
    ],
    holds: "Spark with Iceberg 1.12.0 and S3 (Maven)",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];
