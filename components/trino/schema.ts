import { z } from "zod";
import { auth, block, count, enabled, image, resources, service } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";
import { trinoImages } from "./images.ts";

const topic = "expected a topic's name of letters, digits, dots, dashes and underscores";

const config = block({
  enabled: enabled(),
  // The newest whose server is complete in Maven Central, which the tests run.
  image: image("trinodb/trino:476"),
  coordinator: block({
    resources: resources({ cpu: "100m", memory: "1280Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 100).default(2).describe("Workers, which run the queries."),
    resources: resources({ cpu: "100m", memory: "1152Mi" }),
    drain: count("seconds", 10, 7_200)
      .default(120)
      .describe("Seconds that a stopping worker may take to finish its tasks."),
  }).prefault({}),
  kafkaTopics: z
    .array(z.string({ error: topic }).regex(/^[a-zA-Z0-9._-]{1,249}$/, { error: topic }), {
      error: "expected a list of topics' names",
    })
    .default([])
    .describe("Topics of Kafka that queries see as tables of the catalog kafka."),
  service,
  auth: auth("the key shared-secret, by which coordinator and workers know each other"),
}).prefault({});

export const trino = component({
  title: "Trino",
  summary: "SQL over the lakehouse and the platform's other data",
  folder: "trino",
  images: trinoImages,
  namespace: "apps",
  config,
  needs: { nessie: "its Iceberg tables are listed there", minio: "its Iceberg tables are stored there" },
  uses: ["postgresql", "clickhouse", "kafka"],
});
