import { block, count, enabled, image, resources, service } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { component } from "../kit/definition.ts";
import { schemaRegistryImages } from "./images.ts";

const config = block({
  enabled: enabled(),
  // Speaks the API of Confluent's registry under /apis/ccompat/v7, under a licence without conditions of use.
  image: image("apicurio/apicurio-registry:3.3.3"),
  replicas: count("servers", 1, 16)
    .default(1)
    .describe("Servers. They keep everything in Kafka, so any of them may answer any client."),
  resources: resources({ cpu: "50m", memory: "448Mi" }),
  ...workload({
    priority: "web",
    sets: {
      HOME: "",
      // Of the init container that waits for the topics.
      JOB: "",
      KAFKA_HEAP_OPTS: "",
      KAFKA_PASSWORD: "",
      KAFKA_USERNAME: "",
      LOG_DIR: "",
      SERVERS: "",
      TOPICS: "",
    },
  }),
  service,
}).prefault({});

export const schemaRegistry = component({
  title: "Apicurio Registry",
  summary: "Schemas of Kafka topics, behind the API of Confluent's registry",
  folder: "schema-registry",
  images: schemaRegistryImages,
  namespace: "apps",
  config,
  needs: { kafka: "it keeps its schemas there" },
});
