import { autoscale } from "../../config/autoscale.ts";
import { block, count, enabled, image, memory, resources, service } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { bytes } from "../../config/quantity.ts";
import { settings } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { flinkImages } from "./images.ts";

/** `flink:2.3.0-java21` with the jars for Iceberg: components/flink/images/flink-iceberg. */
export const flinkImage = "data-platform/flink:2.3.0";

/** Below these Flink does not start: its memory beside the heap, plus the smallest useful heap. */
export const least = { jobManager: "768Mi", taskManager: "1Gi" } as const;

/** How the processes and their clients connect, where state is, and what follows from another key. */
const taken = {
  "blob.server.port": "",
  "env.java.opts.all": "",
  "execution.checkpointing.dir": "",
  "execution.checkpointing.savepoint-dir": "",
  "high-availability.*": "flink.jobManager.replicas",
  "io.tmp.dirs": "",
  "jobmanager.bind-host": "",
  "jobmanager.memory.flink.size": "flink.jobManager.resources.limits.memory",
  "jobmanager.memory.process.size": "flink.jobManager.resources.limits.memory",
  "jobmanager.rpc.*": "",
  "kubernetes.*": "",
  "metrics.internal.query-service.port": "",
  "metrics.reporter.prom.*": "",
  "rest.address": "",
  "rest.bind-*": "",
  "rest.port": "",
  "s3.access-key": "minio.auth",
  "s3.endpoint": "",
  "s3.path.style.access": "",
  "s3.secret-key": "minio.auth",
  "table.catalog-store.*": "",
  "taskmanager.bind-host": "",
  "taskmanager.collect-sink.port": "",
  "taskmanager.data.port": "",
  "taskmanager.host": "",
  "taskmanager.memory.flink.size": "flink.taskManager.resources.limits.memory",
  "taskmanager.memory.process.size": "flink.taskManager.resources.limits.memory",
  "taskmanager.numberOfTaskSlots": "flink.taskManager.slots",
  "taskmanager.rpc.port": "",
};
const processSettings = (what: string) =>
  settings({ sets: taken, example: "execution.checkpointing.interval" }).describe(
    `Settings of \`config.yaml\` ${what}, by their names, such as \`execution.checkpointing.interval: 1 min\`.`,
  );

const config = block({
  enabled: enabled(),
  image: image(flinkImage),
  jobManager: block({
    replicas: count("JobManagers", 1, 3)
      .default(1)
      .describe("JobManagers. With more than one, the others take over by way of Kubernetes when the first is gone."),
    resources: resources({ cpu: "50m", memory: "1Gi" }),
    settings: processSettings("of JobManagers alone"),
  }).prefault({}),
  taskManager: block({
    replicas: count("TaskManagers", 1, 100).default(1).describe("TaskManagers, which run the jobs."),
    autoscale: autoscale("TaskManagers", 100),
    slots: count("slots", 1, 64).default(2).describe("Parallel pipelines that one TaskManager runs."),
    resources: resources({ cpu: "50m", memory: "1280Mi" }),
    settings: processSettings("of TaskManagers alone"),
  }).prefault({}),
  ...workload({
    priority: "compute",
    roles: ["jobmanager", "taskmanager"],
    accounts: ["taskmanager"],
    sets: {
      FLINK_CONF_DIR: "",
      FLINK_LOG_DIR: "",
      HOME: "",
      MALLOC_ARENA_MAX: "",
      POD_IP: "",
      AWS_ACCESS_KEY_ID: "minio.auth",
      AWS_SECRET_ACCESS_KEY: "minio.auth",
    },
  }),
  settings: processSettings("of every process"),
  scratch: memory
    .prefault("10Gi")
    .describe(
      "Disk of its node that each process may fill, with the state of jobs in RocksDB and with what does not fit into memory.",
    ),
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
