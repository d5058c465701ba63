import type { ImageDefinition } from "../kit/image.ts";

export const trinoImages: ImageDefinition[] = [
  {
    folder: "components/trino/images/trino",
    repositories: ["trinodb/trino"],
    software: [{ name: "Trino 476", licence: "Apache-2.0", source: "its POM on Maven Central" }],
    holds: "Trino 476 (Maven) without most of its plugins, OpenJDK 25",
    artifacts: [{ kind: "maven", output: "packages" }],
  },
];
