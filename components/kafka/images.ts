import type { ImageDefinition } from "../kit/image.ts";

export const kafkaImages: ImageDefinition[] = [
  {
    folder: "components/kafka/images/kafka",
    repositories: ["apache/kafka"],
    tags: /^4\b/,
    holds: "Kafka 4.3.1 (Maven) with scripts of its own, OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];
