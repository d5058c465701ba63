import type { ImageDefinition } from "../kit/image.ts";

export const nessieImages: ImageDefinition[] = [
  {
    folder: "components/nessie/images/nessie",
    repositories: ["ghcr.io/projectnessie/nessie"],
    holds: "Nessie 0.99.0 (Maven), OpenJDK 21",
    artifacts: [{ kind: "maven", output: "jars" }],
  },
];
