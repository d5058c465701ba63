import { z } from "zod";
import { block, count, enabled, image, resources, storage } from "../../config/fields.ts";
import { placedPods } from "../../config/pods.ts";
import { component } from "../kit/definition.ts";
import { leastVolume, postgresqlMajor } from "../postgresql/schema.ts";
import { cloudnativePgImages } from "./images.ts";

/** PostgreSQL alone, without extensions and without Barman. The newest release that the operator was tested with. */
export const clusterImage = "ghcr.io/cloudnative-pg/postgresql:17.11-minimal-trixie";

/** The operator. The chart in charts/cloudnative-pg is of the same release. */
export const operatorImage = "ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0";

const config = block({
  enabled: enabled(false).describe("Whether applications may have their database on a cluster of CloudNativePG's."),
  operator: z
    .enum(["chart", "existing"], { error: "expected chart or existing" })
    .default("chart")
    .describe(
      "Where the operator comes from. chart: this stack installs it from charts/cloudnative-pg, which takes the Pulumi engine. existing: the Kubernetes cluster has it, 1.30 or newer.",
    ),
  image: image(operatorImage),
  resources: resources({ cpu: "50m", memory: "128Mi", limit: "256Mi" }),
  pods: placedPods("storage"),
}).prefault({});

export const cloudnativePg = component({
  title: "CloudNativePG",
  summary: "Operator that runs PostgreSQL clusters for the Django applications",
  folder: "cloudnative-pg",
  images: cloudnativePgImages,
  namespace: "operators",
  config,
  // An operator that the Kubernetes cluster already has is not the stack's to install.
  isInstalled: ({ enabled, operator }) => enabled && operator === "chart",
});

/** The database of an application. */
export const database = {
  database: z
    .enum(["postgresql", "cloudnative-pg"], { error: "expected postgresql or cloudnative-pg" })
    .default("postgresql")
    .describe("Where its data is: in the platform's PostgreSQL, or in a cluster of its own that CloudNativePG runs."),
  databaseCluster: block({
    image: image(clusterImage).refine((reference) => postgresqlMajor(reference) !== undefined, {
      error: `expected a tag that starts with the major version, 16 to 18, such as ${clusterImage}: the operator reads it there`,
    }),
    instances: count("servers", 1, 9)
      .default(1)
      .describe(
        "With cloudnative-pg: servers. One is the primary; the others are replicas, and one of them takes over. With three or more, a write is confirmed when it is on two.",
      ),
    resources: resources({ cpu: "50m", memory: "256Mi", limit: "512Mi" }),
    storage: storage("1Gi", "each server's volume", leastVolume),
    pods: placedPods("storage"),
  }).prefault({}),
};
