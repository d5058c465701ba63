import { z } from "zod";
import { block, enabled, image, resources, service, storage } from "../fields.ts";

export const kafka = block({
  enabled: enabled(),
  image: image("kafka"),
  replicas: z
    .int({ error: "expected 1, 3, 5 or 7 nodes" })
    .refine((n) => [1, 3, 5, 7].includes(n), {
      error: "expected 1, 3, 5 or 7 nodes: each is broker and controller, and controllers decide by majority",
    })
    .default(1)
    .describe("Nodes, each broker and controller. Topics have as many replicas, up to three."),
  resources: resources({ cpu: "100m", memory: "640Mi", limit: "768Mi" }),
  storage: storage("10Gi", "each node's volume"),
  service,
}).prefault({});
