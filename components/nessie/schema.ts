import { block, count, enabled, image, resources, service } from "../../config/fields.ts";

export const nessie = block({
  enabled: enabled(),
  image: image("nessie"),
  replicas: count("servers", 1, 16)
    .default(1)
    .describe("Servers. They keep everything in PostgreSQL, so any of them may answer any client."),
  resources: resources({ cpu: "50m", memory: "640Mi" }),
  service,
}).prefault({});
