import { auth, block, count, enabled, image, resources, service } from "../../config/fields.ts";

export const superset = block({
  enabled: enabled(),
  image: image("superset"),
  web: block({
    replicas: count("servers", 1, 16).default(1).describe("Web servers."),
    workers: count("processes", 1, 64).default(1).describe("Processes of one web server, each with several threads."),
    resources: resources({ cpu: "100m", memory: "384Mi", limit: "768Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 16)
      .default(1)
      .describe("Celery workers, which run SQL Lab's queries, two at a time each."),
    resources: resources({ cpu: "50m", memory: "448Mi", limit: "768Mi" }),
  }).prefault({}),
  beat: block({
    resources: resources({ cpu: "10m", memory: "256Mi", limit: "384Mi" }),
  }).prefault({}),
  service,
  auth: auth("the key password, the user admin's"),
}).prefault({});
