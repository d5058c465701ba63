import { z } from "zod";
import type { Definition, NamespaceKey } from "../components/kit/definition.ts";
import { tooFewConnections } from "../components/postgresql/connections.ts";
import { databases } from "../components/postgresql/databases.ts";
import { type ComponentKey, type Registry, registry } from "../components/registry.ts";
import {
  annotations,
  block,
  cidr,
  count,
  cpu,
  dnsLabel,
  hostName,
  memory,
  objectName,
  selectingLabels,
} from "./fields.ts";
import { checkFrontDoor, frontDoor } from "./front-door.ts";
import { parseImage } from "./images.ts";
import { globalPods } from "./pods.ts";

/*
 * The whole configuration of a stack. Pure: it imports no Pulumi, so it can be tested, documented and
 * turned into a JSON schema by itself. The defaults are the smallest sizes that work; Pulumi.prod.yaml raises them.
 */

const componentKey = z.enum(Object.keys(registry) as [ComponentKey, ...ComponentKey[]], {
  error: "expected the key of a component such as airflow",
});

const networkPolicies = block({
  enabled: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe(
      "Whether NetworkPolicies deny every connection that the platform does not make itself or these keys allow, in and out. The cluster's network must enforce them.",
    ),
  allowFrom: z
    .array(
      block({
        namespaceLabels: selectingLabels.optional().describe("Labels of the namespaces. Default: the stack's own."),
        podLabels: selectingLabels.optional().describe("Labels of the pods. Default: all pods of these namespaces."),
      }).refine(({ namespaceLabels, podLabels }) => namespaceLabels || podLabels, {
        error: "expected namespaceLabels, podLabels or both",
      }),
      { error: "expected a list of namespaceLabels and podLabels" },
    )
    .default([])
    .describe("Other pods that may use the Services of all components."),
  connections: z
    .array(block({ from: componentKey, to: componentKey }), { error: "expected a list of from and to" })
    .default([])
    .describe(
      "Connections between components that the platform does not make itself, such as those of your DAGs: `from: airflow, to: trino`. They reach the Services of `to`.",
    ),
  outside: z
    .array(
      block({
        from: componentKey,
        cidr: cidr.describe("Addresses."),
        ports: z
          .array(count("port", 1, 65_535), { error: "expected a list of ports" })
          .min(1, { error: "expected at least one port" })
          .describe("TCP ports."),
      }),
      { error: "expected a list of from, cidr and ports" },
    )
    .default([])
    .describe(
      "Connections that leave the platform, such as to an external database. Addresses that a component's own block names, such as a git repository, are allowed on their port already.",
    ),
  keda: block({
    namespaceLabels: selectingLabels
      .default({ "kubernetes.io/metadata.name": "keda" })
      .describe("Labels of the namespace of KEDA's operator."),
    podLabels: selectingLabels
      .default({ app: "keda-operator" })
      .describe("Labels of the operator's pods. Default: those of KEDA's chart."),
  })
    .prefault({})
    .describe("Where KEDA's operator is: with `autoscale.queue` it may count the tasks in PostgreSQL or Redis."),
}).prefault({});

const digestExpected = "expected a digest: sha256: and 64 hexadecimal digits";

const global = block({
  imageRegistry: z
    .string({ error: "expected a registry's prefix such as registry.example.com/mirror" })
    .regex(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*$/, {
      error: "expected a registry's prefix without a scheme such as registry.example.com/mirror",
    })
    .optional()
    .describe("Prefix that replaces every image's registry, for clusters that pull from a mirror."),
  imageDigests: z
    .record(z.string(), z.string({ error: digestExpected }).regex(/^sha256:[0-9a-f]{64}$/, { error: digestExpected }), {
      error: "expected digests by their images",
    })
    .superRefine((digests, context) => {
      for (const reference of Object.keys(digests)) {
        const image = parseImage(reference);
        if (!image?.tag || image.digest)
          context.addIssue({
            code: "custom",
            path: [reference],
            input: digests[reference],
            message:
              "expected an image as it is configured, with a tag and without a digest, such as trinodb/trino:476",
          });
      }
    })
    .default({})
    .describe(
      "Digests by image, as it is configured: pods then name the image by its digest too, so that it stays what it is if someone moves its tag. `./platform images pin` writes them. See docs/images.md.",
    ),
  cluster: z
    .enum(["plain", "kind", "embedded", "eks", "aks", "gke", "openshift"], {
      error: "expected plain, kind, embedded, eks, aks, gke or openshift",
    })
    .default("plain")
    .describe(
      "Kind of the cluster. It decides the default Service type of applications that people visit. With openshift pods name no user and no group: the cluster chooses them. With kind and without a context, `pulumi up` creates the cluster: see docs/delivery.md.",
    ),
  imagePullPolicy: z
    .enum(["IfNotPresent", "Always", "Never"], { error: "expected IfNotPresent, Always or Never" })
    .default("IfNotPresent")
    .describe("When the kubelet pulls an image."),
  imagePullSecrets: z
    .array(objectName, { error: "expected a list of names of Secrets" })
    .default([])
    .describe("Names of Secrets with the registry's credentials, in each namespace."),
  jobDeadline: count("seconds", 60, 604_800)
    .default(1800)
    .describe(
      "Seconds that a set-up Job, a migration or a backup may take, with the pull of its image and the wait for its server. Raise it for a large database or a slow registry: a Job that takes longer is stopped and counts as failed.",
    ),
  storageClass: objectName.optional().describe("Storage class of every volume. Default: the cluster's own."),
  protectData: z
    .boolean({ error: "expected true or false" })
    .default(true)
    .describe("Whether volumes refuse to be deleted, and stay if their resource is removed. Off in dev and test."),
  networkPolicies,
  separateUsers: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe(
      "Whether each component has a user of its own, with the rights it needs alone, in MinIO, Redis, ClickHouse and Kafka. With false they share one user of each server, and Kafka has none. See docs/security.md.",
    ),
  domain: hostName
    .optional()
    .describe(
      "Domain of the pages that people use: each has a host in it behind HTTPS, such as airflow.<domain>. See docs/front-door.md. Default: no page has a host.",
    ),
  priorityClasses: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe(
      "Whether the stack makes PriorityClasses of its own, `<stack>-storage`, `<stack>-compute` and `<stack>-web`, and each component's pods have one by `pods.priority`: on a full cluster, databases are scheduled before what uses them. They are objects of the whole cluster, so the login needs the right to make them.",
    ),
  quotas: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe(
      "Whether each namespace has a ResourceQuota and a LimitRange that follow from what the stack runs in it: the requests of all pods, twice those of Deployments, whose old pods stop while new ones start, and a tenth more. `namespaces.<namespace>.quota` replaces single numbers, `limitRange` the LimitRange. See docs/delivery.md.",
    ),
  pods: globalPods,
  serviceAnnotations: annotations()
    .default({})
    .describe("Annotations of every Service that clients outside the cluster may use: those of a `service` block."),
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
    create: z
      .boolean({ error: "expected true or false" })
      .default(true)
      .describe(
        "Whether the stack creates the namespace, labels it for Pod Security and deletes it. With false it must exist, and is not changed.",
      ),
    quota: quota
      .optional()
      .describe("Limits on what the namespace may request. Default: none, or those of `global.quotas`."),
    limitRange: block({
      memory: memory.describe("Memory limit of a container that has none."),
      cpu: cpu.describe("CPU request of a container that has none."),
    })
      .optional()
      .describe(
        "Defaults for containers without requests and limits. The platform's containers have both. Default: none, or those of `global.quotas`.",
      ),
  })
    .superRefine(({ create, quota, limitRange }, context) => {
      for (const [key, value] of Object.entries({ quota, limitRange }))
        if (value && !create)
          context.addIssue({
            code: "custom",
            path: [key],
            input: value,
            message: "expected create: true beside it, since the stack limits only a namespace that it creates",
          });
    })
    .prefault({});

const namespaces = block({
  core: namespace("PostgreSQL, Redis, MinIO and Nessie"),
  apps: namespace("everything else"),
  monitoring: namespace("Prometheus and Grafana"),
  deployed: namespace("what deployd deploys"),
  flink: namespace("the ConfigMaps in which several JobManagers of Flink elect a leader"),
  operators: namespace("CloudNativePG's operator, if the stack installs it"),
} satisfies Record<NamespaceKey, unknown>).prefault({});

type Blocks = { [Key in ComponentKey]: Registry[Key]["config"] };

/** The block of each component. `Object.entries` forgets which key has which type. */
const blocks = Object.fromEntries(Object.entries(registry).map(([key, { config }]) => [key, config])) as Blocks;

const wholeBlock = block({ global, frontDoor, namespaces, ...blocks });
type Whole = z.output<typeof wholeBlock>;

/** Refuses a component that is enabled without one that it needs. */
function checkNeeds(config: Whole, context: z.RefinementCtx): void {
  const found: Record<string, object> = config;
  const enabled = (key: string) => {
    const settings = found[key];
    return settings !== undefined && "enabled" in settings && settings.enabled === true;
  };
  for (const [key, { needs }] of Object.entries<Definition>(registry))
    for (const [need, reason] of Object.entries(needs))
      if (enabled(key) && !enabled(need))
        context.addIssue({
          code: "custom",
          path: [key, "enabled"],
          input: true,
          message: `expected ${need}.enabled: true beside it, since ${reason}; or ${key}.enabled: false`,
        });
}

/** Refuses fewer connections than the pools of PostgreSQL's clients may open. */
function checkConnections(config: Whole, context: z.RefinementCtx): void {
  const message = config.postgresql.enabled && tooFewConnections(config);
  const input = config.postgresql.maxConnections;
  if (message) context.addIssue({ code: "custom", path: ["postgresql", "maxConnections"], input, message });
}

/** Refuses a Django application whose database is in a component that is not enabled. */
function checkDatabases({ polls, djangoApps, postgresql, cloudnativePg }: Whole, context: z.RefinementCtx): void {
  for (const [path, { database }] of [
    ...(polls.enabled ? [[["polls"], polls] as const] : []),
    ...Object.entries(djangoApps).map(([name, app]) => [["djangoApps", name], app] as const),
  ]) {
    const refuse = (message: string) =>
      context.addIssue({ code: "custom", path: [...path, "database"], input: database, message });
    if (database === "postgresql" && !postgresql.enabled)
      refuse("expected postgresql.enabled: true beside it, since its data is there; or cloudnative-pg");
    if (database === "cloudnative-pg" && !cloudnativePg.enabled)
      refuse("expected cloudnativePg.enabled: true beside it, since its operator runs the database; or postgresql");
  }
}

/** Refuses extensions in a database that PostgreSQL does not have. */
function checkExtensions(config: Whole, context: z.RefinementCtx): void {
  const { databases: own, extensions } = config.postgresql;
  const known = [...new Set<string>([...databases(config), ...own])];
  for (const [database, names] of Object.entries(extensions))
    if (!known.includes(database))
      context.addIssue({
        code: "custom",
        path: ["postgresql", "extensions", database],
        input: names,
        message: `expected one of PostgreSQL's databases: ${known.join(", ")}; or ${database} in postgresql.databases too`,
      });
}

/** Refuses additions to one of Trino's catalogs whose component is not enabled: they would have no effect. */
function checkCatalogs(config: Whole, context: z.RefinementCtx): void {
  for (const key of ["postgresql", "clickhouse", "kafka"] as const)
    if (config.trino.enabled && config.trino.catalogs[key] && !config[key].enabled)
      context.addIssue({
        code: "custom",
        path: ["trino", "catalogs", key],
        input: config.trino.catalogs[key],
        message: `expected ${key}.enabled: true beside it, since this catalog is the platform's; or another name`,
      });
}

/** Refuses the chart of CloudNativePG on OpenShift, whose pod names a user; OpenShift's own catalogue has the operator. */
function checkOperator({ global, cloudnativePg }: Whole, context: z.RefinementCtx): void {
  const { enabled, operator } = cloudnativePg;
  if (global.cluster === "openshift" && enabled && operator === "chart")
    context.addIssue({
      code: "custom",
      path: ["cloudnativePg", "operator"],
      input: operator,
      message: "expected existing beside global.cluster: openshift: install the operator from OperatorHub",
    });
}

/** Refuses users of Kafka where nobody logs in, and a setting of Trino's catalog that would take its login away. */
function checkKafkaUsers({ global, kafka, trino }: Whole, context: z.RefinementCtx): void {
  if (Object.keys(kafka.users).length > 0 && !global.separateUsers)
    context.addIssue({
      code: "custom",
      path: ["kafka", "users"],
      input: Object.keys(kafka.users),
      message: "expected global.separateUsers: true beside it, since without it Kafka has no users",
    });
  const resources = "kafka.config.resources";
  const own = trino.catalogs.kafka?.[resources];
  if (own && global.separateUsers && kafka.enabled)
    context.addIssue({
      code: "custom",
      path: ["trino", "catalogs", "kafka", resources],
      input: own,
      message:
        "expected another setting: with global.separateUsers the platform sets this one, for the catalog's login",
    });
}

/** Refuses Python packages where nobody builds the image with them. */
function checkPackages({ airflow, global }: Whole, context: z.RefinementCtx): void {
  const local = global.cluster === "kind" || global.cluster === "embedded";
  if (airflow.packages.length > 0 && !local && !global.imageRegistry)
    context.addIssue({
      code: "custom",
      path: ["airflow", "packages"],
      input: airflow.packages,
      message:
        "expected global.imageRegistry beside it, for the image with them (./platform images build-commands prints how to build it); or global.cluster: kind or embedded, where the platform builds it; or an image of your own in airflow.image",
    });
}

/** What a stack may configure: a block for each component, and what holds between them. */
export const schema = wholeBlock.superRefine((config, context) => {
  checkNeeds(config, context);
  checkConnections(config, context);
  checkDatabases(config, context);
  checkFrontDoor(config, context);
  checkExtensions(config, context);
  checkCatalogs(config, context);
  checkOperator(config, context);
  checkKafkaUsers(config, context);
  checkPackages(config, context);
});

/** The schema of one stack: its name is part of the namespaces' default names, which must all differ. */
export const schemaOf = (stack: string) =>
  schema.superRefine(({ namespaces }, context) => {
    const names = Object.entries(namespaces).map(([key, { name }]) => ({
      key,
      name: name ?? `${stack}-${key}`,
      configured: name !== undefined,
    }));
    for (const [index, { key, name, configured }] of names.entries()) {
      // Of two that are configured alike, the second is reported.
      const other = names.find((one, i) => one.name === name && (one.configured ? i < index : i !== index));
      if (configured && other)
        context.addIssue({
          code: "custom",
          path: ["namespaces", key, "name"],
          input: name,
          message: `expected a name of its own: namespaces.${other.key}${other.configured ? ".name is the same" : " is named so by default"}`,
        });
    }
  });

export type Config = z.output<typeof schema>;
export type ConfigInput = z.input<typeof schema>;
