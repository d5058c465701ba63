import { block, count, enabled, image, resources, service } from "../../config/fields.ts";

export const schemaRegistry = block({
  enabled: enabled(),
  image: image("schemaRegistry"),
  replicas: count("servers", 1, 16)
    .default(1)
    .describe("Servers. They keep everything in Kafka, so any of them may answer any client."),
  resources: resources({ cpu: "50m", memory: "448Mi" }),
  service,
}).prefault({});
