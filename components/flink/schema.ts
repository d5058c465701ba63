import { block, count, enabled, image, resources, service } from "../../config/fields.ts";
import { bytes } from "../../config/quantity.ts";
import { component } from "../kit/definition.ts";
import { flinkImages } from "./images.ts";

/** `flink:2.3.0-java21` with the jars for Iceberg: components/flink/images/flink-iceberg. */
export const flinkImage = "data-platform/flink:2.3.0";

/** Below these Flink does not start: its memory beside the heap, plus the smallest useful heap. */
const least = { jobManager: "768Mi", taskManager: "1Gi" } as const;

const config = block({
  enabled: enabled(),
  image: image(flinkImage),
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
})
  .superRefine((config, context) => {
    for (const [role, expected] of Object.entries(least) as [keyof typeof least, string][]) {
      const found = config[role].resources.limits.memory;
      if (bytes(found) < bytes(expected))
        context.addIssue({
          code: "custom",
          path: [role, "resources", "limits", "memory"],
          input: found,
          message: `expected at least ${expected}: Flink takes most of that for itself`,
        });
    }
  })
  .prefault({});

export const flink = component({
  title: "Apache Flink",
  summary: "Stream processing, as a session cluster",
  folder: "flink",
  images: flinkImages,
  namespace: "apps",
  config,
  needs: { minio: "its checkpoints are stored there" },
  uses: ["nessie"],
});
