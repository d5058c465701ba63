import { auth, block, count, enabled, image, resources, service } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";
import { supersetImages } from "./images.ts";

const config = block({
  enabled: enabled(),
  // `apache/superset:6.1.0` with the drivers of the platform's databases: components/superset/images/superset-drivers.
  image: image("data-platform/superset:6.1.0"),
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

export const superset = component({
  title: "Apache Superset",
  summary: "Dashboards and SQL in the browser",
  folder: "superset",
  images: supersetImages,
  namespace: "apps",
  config,
  needs: { postgresql: "it keeps its state there", redis: "its cache and its workers' queue are there" },
  uses: ["trino", "clickhouse", "monitoring"],
});
