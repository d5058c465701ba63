import { z } from "zod";
import { autoscale } from "../../config/autoscale.ts";
import { auth, block, count, enabled, reached, resources, storage } from "../../config/fields.ts";
import { tagOf } from "../../config/images.ts";
import { workload } from "../../config/pods.ts";
import { component } from "../kit/definition.ts";
import { redisImage } from "../redis/schema.ts";
import { webAppImages } from "./images.ts";

/** The jobs API and its worker in apps/web-app. */
export const webAppImage = "data-platform/web-app:1.0.0";

/** As semver.org has it, without build metadata, for which tags have no sign. */
export const semanticVersion =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-zA-Z-][\w-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][\w-]*))*)?$/;

/** An image whose versions are promoted from one stack to another: its tag names the version, with or without a digest. */
const promoted = (pin: string) => {
  const error = `expected an image with a semantic version as its tag, such as ${pin}: it is what a promotion writes`;
  return z
    .string({ error })
    .refine((reference) => semanticVersion.test(tagOf(reference)), { error })
    .default(pin)
    .describe("Image, with a semantic version as its tag: `./platform promote` writes it.");
};

const config = block({
  enabled: enabled(),
  environment: z
    .string({ error: "expected a name such as test" })
    .regex(/^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$/, {
      error: "expected a name of at most 30 lower-case letters, digits and dashes, such as test",
    })
    .optional()
    .describe("What its objects are named and labelled after. Default: the stack's name."),
  image: promoted(webAppImage),
  flask: block({
    replicas: count("servers", 1, 16).default(1).describe("Servers of the API."),
    resources: resources({ cpu: "10m", memory: "80Mi", limit: "192Mi" }),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 64).default(1).describe("Workers, each of which does one job at a time."),
    autoscale: autoscale("workers", 64),
    resources: resources({ cpu: "10m", memory: "64Mi", limit: "192Mi" }),
  }).prefault({}),
  redis: block({
    image: promoted(redisImage),
    resources: resources({ cpu: "10m", memory: "48Mi", limit: "128Mi" }),
  }).prefault({}),
  storage: storage("1Gi", "Redis' volume"),
  backup: block({
    schedule: z
      .string({ error: "expected a cron schedule such as 17 3 * * *" })
      .regex(/^(@(hourly|daily|weekly|monthly)|[\d*/,-]+( [\d*/,A-Za-z-]+){4})$/, {
        error: "expected a cron schedule such as 17 3 * * *",
      })
      .default("17 3 * * *")
      .describe("When Redis is backed up to MinIO, if the stack has it: minute, hour, day, month, weekday, in UTC."),
    keep: count("backups", 1, 1_000).default(7).describe("How many backups are kept. The oldest is deleted."),
  }).prefault({}),
  ...workload({
    priority: "web",
    roles: ["flask", "worker", "redis"],
    labels: ["app", "environment", "role"],
    sets: {
      FOLDER: "",
      FROM: "",
      KEEP: "webApp.backup.keep",
      MC_CONFIG_DIR: "",
      MC_HOST_minio: "",
      POD_IP: "",
      REDIS_HOST: "",
      REDIS_PORT: "",
      PASSWORD: "webApp.auth",
      REDIS_PASSWORD: "webApp.auth",
      REDISCLI_AUTH: "webApp.auth",
      ACCESS_KEY: "minio.auth",
      SECRET_KEY: "minio.auth",
    },
  }),
  ...reached("Host name that clients use. With it there is an Ingress. The API has no authentication."),
  auth: auth("the key password, Redis'"),
  debug: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe("Whether there is a pod with a Python shell that can connect to Redis, for debugging."),
}).prefault({});

export const webApp = component({
  title: "Web app",
  summary: "Jobs API with workers and a Redis of its own",
  folder: "web-app",
  images: webAppImages,
  namespace: "apps",
  config,
  uses: ["minio"],
});
