import type { ImageDefinition } from "../kit/image.ts";

export const sparkImages: ImageDefinition[] = [
  {
    folder: "components/spark/images/spark",
    repositories: ["apache/spark", "spark"],
    tags: /^4\b/,
    holds: "Spark 4.1.4 (PyPI), OpenJDK 21, Python 3.13",
  },
  {
    folder: "components/spark/images/spark-iceberg",
    repositories: ["data-platform/spark"],
    own: true,
    holds: "Spark with Iceberg 1.12.0 and S3 (Maven)",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];
