import { z } from "zod";
import { auth, block, count, cpu, dnsLabel, enabled, image, memory, resources, service, storage } from "./fields.ts";
import { parseImage } from "./images.ts";

/*
 * The whole configuration of a stack. Pure: it knows nothing of Pulumi, so it can be tested, documented and
 * turned into a JSON schema by itself. The defaults are the smallest honest sizes; Pulumi.prod.yaml raises them.
 */

const global = block({
  imageRegistry: z
    .string({ error: "expected a registry's prefix such as registry.example.com/mirror" })
    .regex(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*$/, {
      error: "expected a registry's prefix without a scheme such as registry.example.com/mirror",
    })
    .optional()
    .describe("Prefix that takes the place of every image's registry, for clusters that pull from a mirror."),
  imagePullPolicy: z
    .enum(["IfNotPresent", "Always", "Never"], { error: "expected IfNotPresent, Always or Never" })
    .default("IfNotPresent")
    .describe("When the kubelet pulls an image."),
  imagePullSecrets: z
    .array(dnsLabel, { error: "expected a list of names of Secrets" })
    .default([])
    .describe("Names of Secrets, in each namespace, that open the registry."),
  storageClass: dnsLabel.optional().describe("Storage class of every volume. Default: the cluster's own."),
  protectData: z
    .boolean({ error: "expected true or false" })
    .default(true)
    .describe("Whether volumes refuse to be deleted, and stay if their resource is removed. Off in dev and test."),
}).prefault({});

const quota = block({
  cpu: cpu.optional().describe("CPU requests of all pods together."),
  memory: memory.optional().describe("Memory requests of all pods together."),
  storage: memory.optional().describe("Storage of all volumes together."),
  pods: count("pods", 1, 10_000).optional().describe("Number of pods."),
});

const namespace = (what: string) =>
  block({
    name: dnsLabel
      .refine((name) => !/^(default|kube-.*)$/.test(name), {
        error: "expected a namespace of the platform's own, not one of Kubernetes itself",
      })
      .optional()
      .describe(`Namespace of ${what}. Default: the stack's name and this key, such as dev-core.`),
    quota: quota.optional().describe("Limits on what the namespace may request. Default: none."),
    limitRange: block({
      memory: memory.describe("Memory limit of a container that states none."),
      cpu: cpu.describe("CPU request of a container that states none."),
    })
      .optional()
      .describe("What a container gets that states nothing. The platform's own state everything. Default: none."),
  }).prefault({});

const namespaces = block({
  core: namespace("PostgreSQL, Redis, MinIO and Nessie"),
  apps: namespace("everything else"),
  monitoring: namespace("Prometheus and Grafana"),
}).prefault({});

const postgresql = block({
  enabled: enabled(),
  image: image("postgresql").refine((reference) => postgresqlMajor(reference) !== undefined, {
    error:
      "expected a tag that starts with the major version, 16 to 18, such as postgres:17.12: it decides where the data lies",
  }),
  resources: resources({ cpu: "100m", memory: "512Mi" }),
  storage: storage("10Gi"),
  service,
  auth: auth("the key password, the superuser's"),
  maxConnections: count("connections", 20, 2_000)
    .default(100)
    .describe("Connections PostgreSQL accepts at once. Each costs about 10 MiB when busy."),
  databases: z
    .array(
      z.string({ error: "expected a database's name" }).regex(/^[a-z][a-z0-9_]{0,62}$/, {
        error: "expected a database's name: a lower-case letter, then at most 62 letters, digits and underscores",
      }),
      { error: "expected a list of names" },
    )
    .default([])
    .describe("Databases beside those the platform's parts ask for, each with a user of its own name."),
}).prefault({});

const redis = block({
  enabled: enabled(),
  image: image("redis"),
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

const minio = block({
  enabled: enabled(),
  image: image("minio"),
  replicas: z
    .int({ error: "expected 1, or from 4 to 16 servers" })
    .refine((n) => n === 1 || (n >= 4 && n <= 16), {
      error: "expected 1, or from 4 to 16 servers: erasure coding needs four",
    })
    .default(1)
    .describe("Servers. From 4 on, data survives the loss of half of the volumes for reading."),
  resources: resources({ cpu: "100m", memory: "512Mi" }),
  storage: storage("50Gi", "each server's volume"),
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
    .describe("Buckets beside those the platform's parts ask for."),
}).prefault({});

/** What a stack may configure; one block for each part. */
export const schema = block({ global, namespaces, postgresql, redis, minio }).superRefine(({ namespaces }, context) => {
  const names = Object.entries(namespaces).flatMap(([key, { name }]) => (name ? [{ key, name }] : []));
  for (const { key, name } of names) {
    const other = names.find((candidate) => candidate.name === name);
    if (other && other.key !== key)
      context.addIssue({
        code: "custom",
        path: ["namespaces", key, "name"],
        input: name,
        message: `expected a name of its own: namespaces.${other.key}.name is the same`,
      });
  }
});

export type Config = z.output<typeof schema>;
export type ConfigInput = z.input<typeof schema>;

/** The major version in an image's tag, where it is one that this platform knows the data layout of. */
export function postgresqlMajor(reference: string): number | undefined {
  const major = Number(/^(\d+)/.exec(parseImage(reference)?.tag ?? "")?.[1]);
  return major >= 16 && major <= 18 ? major : undefined;
}
