import { block, count, enabled, image, resources, service } from "../fields.ts";

export const flink = block({
  enabled: enabled(),
  image: image("flink"),
  jobManager: block({
    replicas: count("JobManagers", 1, 3)
      .default(1)
      .describe("JobManagers. With more than one, the others take over by way of Kubernetes when the first is gone."),
    resources: resources({ cpu: "50m", memory: "1Gi" }),
  }).prefault({}),
  taskManager: block({
    replicas: count("TaskManagers", 1, 100).default(1).describe("TaskManagers, which run the jobs."),
    slots: count("slots", 1, 64).default(2).describe("Parallel pipelines that one TaskManager runs."),
    resources: resources({ cpu: "50m", memory: "1280Mi" }),
  }).prefault({}),
  service,
}).prefault({});
