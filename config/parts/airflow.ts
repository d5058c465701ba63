import { auth, block, count, enabled, image, resources, service } from "../fields.ts";

export const airflow = block({
  enabled: enabled(),
  image: image("airflow"),
  apiServer: block({
    replicas: count("servers", 1, 16).default(1).describe("API servers, which serve the web pages too."),
    resources: resources({ cpu: "100m", memory: "704Mi", limit: "1Gi" }),
  }).prefault({}),
  scheduler: block({
    replicas: count("schedulers", 1, 8).default(1).describe("Schedulers. They share the work by way of the database."),
    resources: resources({ cpu: "100m", memory: "512Mi" }),
  }).prefault({}),
  dagProcessor: block({
    resources: resources({ cpu: "50m", memory: "512Mi" }),
  }).prefault({}),
  triggerer: block({
    resources: resources({ cpu: "50m", memory: "512Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 100).default(1).describe("Celery workers, which run the tasks."),
    concurrency: count("tasks", 1, 128).default(2).describe("Tasks that one worker runs at once."),
    resources: resources({ cpu: "100m", memory: "1Gi", limit: "1536Mi" }),
  }).prefault({}),
  service,
  auth: auth("the key password, the user admin's"),
}).prefault({});
