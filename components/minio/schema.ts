import { z } from "zod";
import { auth, block, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { component } from "../kit/definition.ts";
import { minioImages } from "./images.ts";

const config = block({
  enabled: enabled(),
  // The last image that the MinIO project published of its community edition. `minio.image` takes a maintained build of
  // the same server: see docs/minio.md.
  image: image("quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"),
  replicas: z
    .int({ error: "expected 1, or from 4 to 16 servers" })
    .refine((n) => n === 1 || (n >= 4 && n <= 16), {
      error: "expected 1, or from 4 to 16 servers: erasure coding needs four",
    })
    .default(1)
    .meta({ enum: [1, ...Array.from({ length: 13 }, (_, more) => 4 + more)] })
    .describe(
      "Servers. From 4 on, data survives the loss of half of the volumes for reading. Fixed once they have data.",
    ),
  resources: resources({ cpu: "100m", memory: "512Mi" }),
  storage: storage("50Gi", "each server's volume"),
  ...workload({
    priority: "storage",
    sets: {
      BUCKETS: "minio.buckets",
      HOME: "",
      MC_CONFIG_DIR: "",
      MINIO_ACCESS_KEY: "minio.auth",
      MINIO_ADDRESS: "",
      MINIO_CONSOLE_ADDRESS: "",
      MINIO_OPTS: "",
      MINIO_PROMETHEUS_AUTH_TYPE: "",
      MINIO_REGION: "",
      MINIO_ROOT_PASSWORD_FILE: "minio.auth",
      MINIO_ROOT_USER_FILE: "minio.auth",
      MINIO_SECRET_KEY: "minio.auth",
      MINIO_SITE_REGION: "",
      MINIO_VOLUMES: "minio.replicas",
      MINIO_UPDATE: "",
      ACCESS_KEY: "minio.auth.rotation",
      SECRET_KEY: "minio.auth.rotation",
      MINIO_ROOT_PASSWORD: "minio.auth",
      MINIO_ROOT_USER: "minio.auth",
      ROOT_PASSWORD: "minio.auth",
      ROOT_USER: "minio.auth",
    },
  }),
  service,
  auth: auth("the keys root-user and root-password"),
  buckets: z
    .array(
      z.string({ error: "expected a bucket's name" }).regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, {
        error: "expected a bucket's name: 3 to 63 lower-case letters, digits, dots and dashes",
      }),
      { error: "expected a list of names" },
    )
    .default([])
    .describe("Buckets beside those the platform's components ask for."),
}).prefault({});

export const minio = component({
  title: "MinIO",
  summary: "S3 object storage, with a bucket for each client",
  folder: "minio",
  images: minioImages,
  namespace: "core",
  config,
});
