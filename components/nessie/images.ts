import type { ImageDefinition } from "../kit/image.ts";

export const nessieImages: ImageDefinition[] = [
  {
    folder: "components/nessie/images/nessie",
    repositories: ["ghcr.io/projectnessie/nessie"],
    software: [{ name: "Nessie 0.99.0", licence: "Apache-2.0", source: "its POM on Maven Central" }],
    holds: "Nessie 0.99.0 (Maven), OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];
