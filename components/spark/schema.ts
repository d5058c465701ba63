import { auth, block, count, enabled, image, memory, resources, service } from "../../config/fields.ts";
import { bytes, mebibytes } from "../../config/quantity.ts";
import { component } from "../kit/definition.ts";
import { sparkImages } from "./images.ts";

/** `apache/spark:4.1.4` with the jars for Iceberg and S3: components/spark/images/spark-iceberg. */
export const sparkImage = "data-platform/spark:4.1.4";

/** Mebibytes of a worker's limit that are no executor's heap. */
const overhead = 768;
/** Mebibytes of heap below which Spark starts no executor. */
const smallest = 512;

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
