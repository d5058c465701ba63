import { z } from "zod";
import { block, enabled, image, resources, storage } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";
import { kafkaImages } from "./images.ts";

const config = block({
  enabled: enabled(),
  // 4.4.0 lacks a module of its tools in Maven Central, so the tests could not run it.
  image: image("apache/kafka:4.3.1"),
  replicas: z
    .int({ error: "expected 1, 3, 5 or 7 nodes" })
    .refine((n) => [1, 3, 5, 7].includes(n), {
      error: "expected 1, 3, 5 or 7 nodes: each is broker and controller, and controllers decide by majority",
    })
    .default(1)
    .describe(
      "Nodes, each broker and controller. Topics have as many replicas, up to three. Fixed once the nodes have data.",
    ),
  resources: resources({ cpu: "100m", memory: "640Mi", limit: "768Mi" }),
  storage: storage("10Gi", "each node's volume"),
  service: block({
    type: z
      .enum(["ClusterIP"], {
        error:
          "expected ClusterIP: brokers send clients on to their own names, which only pods of the cluster can resolve",
      })
      .default("ClusterIP")
      .describe("Kind of the Service that clients use. Brokers are reached from within the cluster alone."),
  }).prefault({}),
}).prefault({});

export const kafka = component({
  title: "Apache Kafka",
  summary: "Event streams, in KRaft mode",
  folder: "kafka",
  images: kafkaImages,
  namespace: "apps",
  config,
});
