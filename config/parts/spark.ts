import { auth, block, count, enabled, image, memory, resources, service } from "../fields.ts";

export const spark = block({
  enabled: enabled(),
  image: image("spark"),
  master: block({
    resources: resources({ cpu: "50m", memory: "512Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 100).default(2).describe("Workers, which run the applications' executors."),
    cores: count("cores", 1, 128).default(1).describe("Cores that one worker offers to applications."),
    memory: memory.default("1Gi").describe("Memory that one worker offers to applications."),
    resources: resources({ cpu: "100m", memory: "1536Mi" }),
  }).prefault({}),
  service,
  auth: auth("the key secret, which clients of the cluster share"),
}).prefault({});
