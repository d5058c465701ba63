import { z } from "zod";
import { block, count, enabled, environment, image, resources, service, storage } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { component } from "../kit/definition.ts";
import { noetlImages } from "./images.ts";
import { latest, startPlan } from "./versions.ts";

/** The name of the instance that is called `noetl` alone. */
export const mainInstance = "main";

/** What an instance is called in the cluster. */
export const nameOf = (instance: string): string => (instance === mainInstance ? "noetl" : `noetl-${instance}`);

/** Suffixes that objects of an instance have. */
const taken = ["headless", "nats", "schema", "source", "worker"];

const instanceName = z
  .string()
  .regex(/^[a-z][a-z0-9]{0,19}$/, { error: "expected a name of at most 20 lower-case letters and digits" })
  .refine((name) => !taken.includes(name), { error: `expected another name than ${taken.join(", ")}` });

/** Variables that the platform sets, and the key to use instead. */
const sets = {
  NOETL_DROP_SCHEMA: "",
  NOETL_SCHEMA_VALIDATE: "",
  HOME: "",
  NATS_CONSUMER: "",
  NATS_PASSWORD: "",
  NATS_STREAM: "",
  NATS_SUBJECT: "",
  NATS_URL: "",
  NATS_USER: "",
  NOETL_AUTO_RECREATE_RUNTIME: "",
  NOETL_HOST: "",
  NOETL_PORT: "",
  NOETL_RUN_MODE: "",
  NOETL_SCHEMA: "",
  NOETL_SERVER: "",
  NOETL_SERVER_NAME: "",
  NOETL_SERVER_URL: "",
  NOETL_USER: "",
  PGDATABASE: "",
  PGHOST: "",
  PGPASSFILE: "",
  PGPORT: "",
  PGUSER: "",
  PIP_DISABLE_PIP_VERSION_CHECK: "",
  PIP_NO_CACHE_DIR: "",
  POSTGRES_DB: "",
  POSTGRES_HOST: "",
  POSTGRES_PORT: "",
  POSTGRES_USER: "",
  PYTHONUNBUFFERED: "",
  "SET_UP_*": "",
  NOETL_BG_POOL_MAX_SIZE: "",
  NOETL_POSTGRES_POOL_MAX_SIZE: "",
  NOETL_DEBUG: "",
  NOETL_DISABLE_METRICS: "",
  NOETL_ENABLE_UI: "",
  NOETL_HEARTBEAT_RETRY_AFTER: "",
  NOETL_RUNTIME_OFFLINE_SECONDS: "",
  NOETL_RUNTIME_SWEEP_INTERVAL: "",
  NOETL_SERVER_METRICS_INTERVAL: "",
  NOETL_SERVER_RELOAD: "",
  NOETL_SERVER_WORKERS: "",
  PASSWORD: "postgresql.auth",
  PGPASSWORD: "postgresql.auth",
  POSTGRES_PASSWORD: "postgresql.auth",
  NOETL_PASSWORD: "postgresql.auth",
  PIP_INDEX_URL: "noetl.packageIndex",
  PIP_NO_INDEX: "noetl.packageIndex",
};

const instance = block({
  type: z
    .enum(["version", "package", "dev"], { error: "expected version, package or dev" })
    .default("version")
    .describe("What is installed: a released version, a package of your own, or a checkout under development."),
  version: z
    .string({ error: `expected a version such as "${latest}", or latest` })
    .default(latest)
    .describe("Which version that is: it decides how the server is started. `latest` is the newest with a server."),
  path: z
    .string({ error: "expected a directory's absolute path" })
    .regex(/^\/[^\0]*[^/\0]$/, { error: "expected a directory's absolute path" })
    .optional()
    .describe("For package and dev: the directory on the cluster's node that holds the packages or the checkout."),
  ...environment(sets),
}).superRefine(({ type, version, path }, context) => {
  const plan = startPlan(version, { unreleased: type !== "version" });
  const refuse = (key: string, input: unknown, message: string) =>
    context.addIssue({ code: "custom", path: [key], input, message });
  if ("refused" in plan) refuse("version", version, plan.refused);
  if (type === "version" && path)
    refuse("path", path, "expected no path beside type: version, which installs a release");
  if (type !== "version" && !path)
    refuse("path", undefined, `expected a directory's absolute path beside type: ${type}`);
});

const config = block({
  enabled: enabled(),
  // NoETL with all that it imports, at the version that most instances run: apps/noetl/Dockerfile.
  image: image("data-platform/noetl:4.26.0"),
  packageIndex: z
    .url({ protocol: /^https?$/, error: "expected a package index's URL such as https://pypi.example.com/simple" })
    .optional()
    .describe(
      "Where pods install from what their image lacks. Without it, the image is the one with the instance's version as its tag, and holds everything.",
    ),
  instances: z
    .record(instanceName, instance, { error: "expected instances by their names" })
    .prefault({ [mainInstance]: { type: "version", version: latest } })
    .describe(
      "Servers with workers of their own, by name, each with `type`, `version` and `path`: see docs/noetl.md. One named main is called noetl, another noetl-<name>.",
    ),
  server: block({
    resources: resources({ cpu: "5m", memory: "192Mi", limit: "768Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 32).default(1).describe("Workers of each instance."),
    resources: resources({ cpu: "5m", memory: "160Mi", limit: "768Mi" }),
  }).prefault({}),
  storage: storage("256Mi", "the volume of each server and each worker, with its data and logs"),
  nats: block({
    // The 2.12 line still gets fixes; NoETL's client wants nothing newer.
    image: image("nats:2.12.15"),
    resources: resources({ cpu: "5m", memory: "32Mi", limit: "128Mi" }),
    storage: storage("256Mi", "the queue's volume"),
    ...workload({ priority: "storage" }),
  }).prefault({}),
  ...workload({ priority: "compute", roles: ["server", "worker"], sets }),
  service,
}).prefault({});

export const noetl = component({
  title: "NoETL",
  summary: "Workflows as playbooks, with a NATS queue",
  folder: "noetl",
  images: noetlImages,
  names: /^noetl(-|$)/,
  namespace: "apps",
  config,
  needs: { postgresql: "it keeps its playbooks and their results there" },
});
