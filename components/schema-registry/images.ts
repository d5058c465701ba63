import type { ImageDefinition } from "../kit/image.ts";

export const schemaRegistryImages: ImageDefinition[] = [
  {
    folder: "components/schema-registry/images/apicurio-registry",
    repositories: ["apicurio/apicurio-registry"],
    tags: /^3\b/,
    software: [{ name: "Apicurio Registry 3.3.3", licence: "Apache-2.0", source: "its POM on Maven Central" }],
    holds: "Apicurio Registry 3.3.3 (Maven), OpenJDK 21",
    artifacts: [{ kind: "maven", output: "packages" }],
  },
];
