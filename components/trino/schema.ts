import { z } from "zod";
import { autoscale } from "../../config/autoscale.ts";
import { auth, block, count, enabled, image, memory, resources, service } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { missingVariables, settings, takenSetting } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { trinoImages } from "./images.ts";

const topic = "expected a topic's name of letters, digits, dots, dashes and underscores";

/** How the nodes and their clients connect, who may stop a worker, where files are, and what this block has a key for. */
const taken = {
  "access-control.config-files": "",
  "catalog.config-dir": "",
  coordinator: "",
  "discovery.uri": "",
  "exchange-manager.*": "trino.faultTolerance",
  "http-server.authentication.*": "",
  "http-server.http*": "",
  "http-server.log.*": "",
  "internal-communication.*": "trino.auth",
  "max-spill-per-node": "trino.worker.spill",
  "node-scheduler.include-coordinator": "",
  "node.*": "",
  "plugin.dir": "",
  "resource-groups.*": "trino.resourceGroups",
  "retry-policy": "trino.faultTolerance",
  "shutdown.grace-period": "trino.worker.drain",
  "spill-enabled": "trino.worker.spill",
  "spiller-spill-path": "trino.worker.spill",
};
const variable = `\${ENV:NAME}`;
const nodeSettings = (what: string) =>
  settings({ sets: taken, example: "query.max-run-time", variable }).describe(
    `Settings of \`config.properties\` ${what}, by their names.`,
  );

/** Settings of the platform's own catalogs that the stack may not replace. */
const catalogTaken = {
  "connection-*": "",
  "connector.name": "",
  // All but fs.cache.
  "fs.azure.*": "",
  "fs.gcs.*": "",
  "fs.hadoop.*": "",
  "fs.local.*": "",
  "fs.native-*": "",
  "fs.s3.*": "",
  "iceberg.catalog.type": "",
  "iceberg.rest-catalog.*": "",
  "kafka.hide-internal-columns": "",
  "kafka.nodes": "",
  "kafka.table-names": "trino.kafkaTopics",
  "s3.*": "",
};
const platformCatalogs = ["iceberg", "postgresql", "clickhouse", "kafka", "tpch"];
const catalogName = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, {
  error: "expected a catalog's name of lower-case letters, digits and underscores",
});
const catalogs = z
  .record(catalogName, settings({ sets: {}, example: "connector.name", variable }), {
    error: "expected catalogs by their names",
  })
  .superRefine((all, context) => {
    for (const [name, properties] of Object.entries(all)) {
      const refuse = (key: string, message: string) =>
        context.addIssue({ code: "custom", path: [name, key], input: properties[key], message });
      if (platformCatalogs.includes(name)) {
        for (const key of Object.keys(properties)) {
          const instead = takenSetting(catalogTaken, key);
          if (instead !== undefined)
            refuse(key, `expected another setting: the platform sets this one${instead && `; use ${instead} instead`}`);
        }
      } else if (!properties["connector.name"])
        refuse("connector.name", "expected the connector's name, such as postgresql or hive");
    }
  })
  .default({})
  .describe(
    `Catalogs of your own: the properties of each by its name, in which \`${variable}\` is a variable of \`trino.env\`. By the name of one of the platform's they add to that one.`,
  );

/** Resource groups, in the form of Trino's `resource-groups.json`. Trino checks the rest. */
const resourceGroups = z
  .looseObject(
    {
      rootGroups: z
        .array(
          z.looseObject({
            name: z.string({ error: "expected the group's name" }),
            hardConcurrencyLimit: count("queries", 1, 100_000),
            maxQueued: count("queries", 0, 1_000_000),
          }),
          { error: "expected a list of groups" },
        )
        .min(1, { error: "expected a group" })
        .describe("Groups, each with the limits of its queries, and `subGroups`."),
      selectors: z
        .array(
          z.looseObject({
            group: z.string({ error: "expected the name of a group, with dots before that of a sub-group" }),
          }),
          {
            error: "expected a list of selectors",
          },
        )
        .min(1, { error: "expected a selector: a query that none selects is refused" })
        .describe(
          "Which group a query belongs to, by its user, its source and the like. The first that matches counts.",
        ),
    },
    { error: "expected rootGroups and selectors, as in resource-groups.json" },
  )
  .superRefine(({ rootGroups, selectors }, context) => {
    const names = rootGroups.map(({ name }) => name);
    for (const [index, { group }] of selectors.entries()) {
      const root = group.split(".")[0] ?? "";
      if (!root.startsWith("$") && !names.includes(root))
        context.addIssue({
          code: "custom",
          path: ["selectors", index, "group"],
          input: group,
          message: `expected a group below one of rootGroups: ${names.join(", ")}`,
        });
    }
  })
  .optional()
  .describe("Limits by groups of queries, as Trino's `resource-groups.json` has them. Default: none.");

/** Variables that the platform sets, by the key to use instead. */
const variables = {
  DRAIN_USER: "",
  SHARED_SECRET: "trino.auth",
  S3_ACCESS_KEY: "minio.auth",
  S3_SECRET_KEY: "minio.auth",
  POSTGRESQL_PASSWORD: "postgresql.auth",
  POSTGRESQL_USERNAME: "postgresql.auth",
  CLICKHOUSE_PASSWORD: "clickhouse.auth",
  CLICKHOUSE_USERNAME: "clickhouse.auth",
};

const config = block({
  enabled: enabled(),
  // The newest whose server is complete in Maven Central, which the tests run.
  image: image("trinodb/trino:476"),
  coordinator: block({
    resources: resources({ cpu: "100m", memory: "1280Mi" }),
    settings: nodeSettings("of the coordinator alone"),
  }).prefault({}),
  worker: block({
    replicas: count("workers", 1, 100).default(2).describe("Workers, which run the queries."),
    autoscale: autoscale("workers", 100),
    resources: resources({ cpu: "100m", memory: "1152Mi" }),
    drain: count("seconds", 10, 7_200)
      .default(120)
      .describe("Seconds that a stopping worker may take to finish its tasks."),
    spill: memory
      .optional()
      .describe(
        "Disk of each worker that queries may fill with what does not fit into memory. Default: they fail instead.",
      ),
    scratch: memory
      .prefault("1Gi")
      .describe("Disk of each worker for `/data/trino`, such as for a catalog's cache of files."),
    settings: nodeSettings("of the workers alone"),
  }).prefault({}),
  settings: nodeSettings("of every node"),
  catalogs,
  resourceGroups,
  faultTolerance: z
    .enum(["none", "query", "task"], { error: "expected none, query or task" })
    .default("none")
    .describe(
      "What is retried when a worker is lost: whole queries, for many small ones, or tasks, for long ones. Intermediate data is in the bucket trino of MinIO.",
    ),
  kafkaTopics: z
    .array(z.string({ error: topic }).regex(/^[a-zA-Z0-9._-]{1,249}$/, { error: topic }), {
      error: "expected a list of topics' names",
    })
    .default([])
    .describe("Topics of Kafka that queries see as tables of the catalog kafka."),
  ...workload({
    priority: "compute",
    roles: ["coordinator", "worker"],
    gracePeriodFrom: "trino.worker.drain",
    sets: variables,
  }),
  service,
  auth: auth("the key shared-secret, by which coordinator and workers know each other"),
})
  .superRefine(({ settings, coordinator, worker, catalogs, env, envFrom }, context) => {
    const files: [path: string[], values: Record<string, string>][] = [
      [["settings"], settings],
      [["coordinator", "settings"], coordinator.settings],
      [["worker", "settings"], worker.settings],
      ...Object.entries(catalogs).map(([name, values]): [string[], Record<string, string>] => [
        ["catalogs", name],
        values,
      ]),
    ];
    for (const [path, values] of files)
      for (const [setting, name] of missingVariables(values, /\$\{ENV:(\w+)\}/g, { env, envFrom }, variables))
        context.addIssue({
          code: "custom",
          path: [...path, setting],
          input: values[setting],
          message: `expected the variable ${name} in trino.env, with the Secret's key that it is from`,
        });
  })
  .prefault({});

export const trino = component({
  title: "Trino",
  summary: "SQL over the lakehouse and the platform's other data",
  folder: "trino",
  images: trinoImages,
  namespace: "apps",
  config,
  needs: { nessie: "its Iceberg tables are listed there", minio: "its Iceberg tables are stored there" },
  uses: ["postgresql", "clickhouse", "kafka"],
});
