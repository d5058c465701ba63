import { block, count, enabled, image, resources, service } from "../fields.ts";

export const trino = block({
  enabled: enabled(),
  image: image("trino"),
  coordinator: block({
    resources: resources({ cpu: "100m", memory: "1280Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 100).default(2).describe("Workers, which run the queries."),
    resources: resources({ cpu: "100m", memory: "1152Mi" }),
    drain: count("seconds", 10, 7_200)
      .default(120)
      .describe("Seconds that a worker which is told to stop may spend on finishing what it runs."),
  }).prefault({}),
  service,
}).prefault({});
