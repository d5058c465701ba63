import { z } from "zod";
import { auth, block, enabled, image, resources, service, storage } from "../fields.ts";

export const monitoring = block({
  enabled: enabled(false),
  labels: z
    .record(z.string(), z.string(), { error: "expected labels such as release: prometheus" })
    .default({})
    .describe("Labels on everything that monitoring makes, for an operator that selects by them."),
  prometheus: block({
    image: image("prometheus"),
    resources: resources({ cpu: "100m", memory: "512Mi", limit: "1Gi" }),
    storage: storage("10Gi"),
  }).prefault({}),
  grafana: block({
    image: image("grafana"),
    resources: resources({ cpu: "50m", memory: "256Mi" }),
  }).prefault({}),
  service,
  auth: auth("the key password, the user admin's of Grafana"),
}).prefault({});
