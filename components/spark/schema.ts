import { auth, block, count, enabled, image, memory, resources, service } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { bytes, mebibytes } from "../../config/quantity.ts";
import { settings } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { sparkImages } from "./images.ts";

/** `apache/spark:4.1.4` with the jars for Iceberg and S3: components/spark/images/spark-iceberg. */
export const sparkImage = "data-platform/spark:4.1.4";

/** Mebibytes of a worker's limit that are no executor's heap. */
export const overhead = 768;
/** Mebibytes of heap below which Spark starts no executor. */
export const smallest = 512;

/** How the processes and their clients connect, where data is, and what this block has a key for. */
const taken = {
  "spark.authenticate": "",
  "spark.authenticate.*": "spark.auth",
  "spark.eventLog.dir": "spark.history",
  "spark.eventLog.enabled": "spark.history",
  "spark.hadoop.fs.s3a.aws.credentials.provider": "",
  "spark.hadoop.fs.s3a.endpoint": "",
  "spark.hadoop.fs.s3a.endpoint.region": "",
  "spark.hadoop.fs.s3a.path.style.access": "",
  "spark.history.*": "spark.history",
  "spark.local.dir": "spark.worker.scratch",
  "spark.master": "",
  "spark.master.rest.*": "",
  "spark.metrics.conf.*": "",
  "spark.sql.catalog.lakehouse": "",
  "spark.sql.catalog.lakehouse.*": "",
  "spark.ui.killEnabled": "",
  "spark.ui.reverseProxy": "",
  "spark.worker.preferConfiguredMasterAddress": "",
};

/** Settings that master and workers read. All others are the applications'. */
export const isDaemonSetting = (name: string): boolean => /^spark\.(deploy|master|worker)\./.test(name);

const config = block({
  enabled: enabled(),
  image: image(sparkImage),
  master: block({
    resources: resources({ cpu: "50m", memory: "512Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 100).default(2).describe("Workers, which run the applications' executors."),
    cores: count("cores", 1, 128).default(1).describe("Cores that one worker offers to applications."),
    memory: memory.prefault("768Mi").describe("Memory that one worker offers to applications, for executors' heaps."),
    scratch: memory.prefault("4Gi").describe("Disk that the shuffles and spills on one worker may fill."),
    resources: resources({ cpu: "100m", memory: "1536Mi" }),
  })
    .superRefine((worker, context) => {
      const offered = mebibytes(bytes(worker.memory));
      const limit = worker.resources.limits.memory;
      if (offered < smallest)
        context.addIssue({
          code: "custom",
          path: ["memory"],
          input: worker.memory,
          message: `expected at least ${smallest}Mi: Spark starts no executor with less`,
        });
      if (mebibytes(bytes(limit)) < offered + overhead)
        context.addIssue({
          code: "custom",
          path: ["resources", "limits", "memory"],
          input: limit,
          message: `expected at least ${offered + overhead}Mi: spark.worker.memory, which is ${worker.memory}, and ${overhead}Mi for the worker itself and what an executor has beside its heap`,
        });
    })
    .prefault({}),
  ...workload({
    priority: "compute",
    roles: ["master", "worker", "history"],
    sets: {
      HOME: "",
      SPARK_DAEMON_JAVA_OPTS: "",
      SPARK_LOCAL_DIRS: "",
      SPARK_DAEMON_MEMORY: "spark.master.resources and spark.worker.resources",
      SPARK_HISTORY_OPTS: "spark.history",
      _SPARK_AUTH_SECRET: "spark.auth",
      AWS_ACCESS_KEY_ID: "minio.auth",
      AWS_SECRET_ACCESS_KEY: "minio.auth",
    },
  }),
  settings: settings({ sets: taken, name: /^spark(\.[\w*-]+)+$/, example: "spark.sql.shuffle.partitions" }).describe(
    "Settings of `spark-defaults.conf` by their names: those of `spark.deploy`, `spark.master` and `spark.worker` for master and workers, all others as defaults of applications.",
  ),
  history: block({
    enabled: enabled(false).describe(
      "Whether applications write their events to the bucket spark of MinIO, and a history server shows them when they are over.",
    ),
    retention: count("days", 1, 3_650)
      .default(30)
      .describe("Days after which the events of an application are deleted."),
    resources: resources({ cpu: "50m", memory: "768Mi" }),
  }).prefault({}),
  service,
  auth: auth("the key secret, which clients of the cluster share"),
}).prefault({});

export const spark = component({
  title: "Apache Spark",
  summary: "Batch processing, as a standalone cluster",
  folder: "spark",
  images: sparkImages,
  namespace: "apps",
  config,
  needs: { nessie: "its Iceberg tables are listed there", minio: "its Iceberg tables are stored there" },
});
