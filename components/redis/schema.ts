import { auth, block, count, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";
import { redisImages } from "./images.ts";

/** A maintained line with security fixes; the image built from packages is older: see docs/redis.md. */
export const redisImage = "redis:8.2.10";

const config = block({
  enabled: enabled(),
  image: image(redisImage),
  resources: resources({ cpu: "50m", memory: "128Mi", limit: "256Mi" }),
  storage: storage("5Gi"),
  service,
  auth: auth("the key password"),
  maxMemoryPercent: count("percent", 10, 90)
    .default(60)
    .describe(
      "Share of the memory limit that data may take. The rest is for rewriting the append-only file, which copies what changes meanwhile.",
    ),
}).prefault({});

export const redis = component({
  title: "Redis",
  summary: "Cache and task queue, with a logical database for each client",
  folder: "redis",
  images: redisImages,
  namespace: "core",
  config,
});
