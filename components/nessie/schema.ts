import { block, count, enabled, image, resources, service } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";
import { nessieImages } from "./images.ts";

const config = block({
  enabled: enabled(),
  // The newest whose server is complete in Maven Central, which the tests run.
  image: image("ghcr.io/projectnessie/nessie:0.99.0"),
  replicas: count("servers", 1, 16)
    .default(1)
    .describe("Servers. They keep everything in PostgreSQL, so any of them may answer any client."),
  resources: resources({ cpu: "50m", memory: "640Mi" }),
  service,
}).prefault({});

export const nessie = component({
  title: "Nessie",
  summary: "Iceberg REST catalog with branches and history",
  folder: "nessie",
  images: nessieImages,
  namespace: "core",
  config,
  needs: { postgresql: "it keeps its versions there", minio: "the tables are stored there" },
});
