import type { ImageDefinition } from "../kit/image.ts";

export const kafkaImages: ImageDefinition[] = [
  {
    folder: "components/kafka/images/kafka",
    repositories: ["apache/kafka"],
    tags: /^4\b/,
    software: [{ name: "Kafka 4.3.1", licence: "Apache-2.0", source: "its POM on Maven Central" }],
    holds: "Kafka 4.3.1 (Maven) with scripts of its own, OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];
