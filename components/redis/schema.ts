import { auth, block, count, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { settings } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { redisImages } from "./images.ts";

/** A maintained line with security fixes; the image built from packages is older: see docs/redis.md. */
export const redisImage = "redis:8.2.10";

/** Where the data is and how clients connect, what keeps queues from being lost, and what this block has a key for. */
const taken = {
  "acl*": "redis.auth",
  appendonly: "",
  "aof-use-rdb-preamble": "",
  "bind*": "",
  "cluster-*": "",
  daemonize: "",
  databases: "",
  dir: "",
  include: "",
  loadmodule: "",
  logfile: "",
  masterauth: "",
  masteruser: "",
  maxmemory: "redis.maxMemoryPercent",
  "maxmemory-policy": "",
  pidfile: "",
  port: "",
  "protected-mode": "",
  "rename-command": "",
  replicaof: "",
  requirepass: "redis.auth",
  save: "",
  slaveof: "",
  "tls-*": "",
  "unixsocket*": "",
  user: "redis.auth",
};

const config = block({
  enabled: enabled(),
  image: image(redisImage),
  resources: resources({ cpu: "50m", memory: "128Mi", limit: "256Mi" }),
  storage: storage("5Gi"),
  ...workload({
    priority: "storage",
    sets: { PASSWORD: "redis.auth" },
  }),
  service,
  auth: auth("the key password"),
  cache: block({
    enabled: enabled(false).describe(
      "Whether caches have a server of their own, redis-cache, so that a full one never stops a queue. With false all clients share one server.",
    ),
    resources: resources({ cpu: "10m", memory: "64Mi", limit: "128Mi" }),
    storage: storage("1Gi", "the cache's volume"),
  }).prefault({}),
  maxMemoryPercent: count("percent", 10, 90)
    .default(60)
    .describe(
      "Share of the memory limit that data may take. The rest is for rewriting the append-only file, which copies what changes meanwhile.",
    ),
  settings: settings({ sets: taken, name: /^[a-z][a-z0-9-]*$/, example: "slowlog-max-len" }).describe(
    "Directives of `redis.conf` by their names, such as `slowlog-max-len: 256`. The web app's Redis is another one.",
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
