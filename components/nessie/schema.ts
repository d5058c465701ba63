import { block, count, enabled, image, resources, service } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { missingVariables, settings } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { nessieImages } from "./images.ts";

/** How clients connect, where the catalog is kept, and how it reaches the tables' files. */
const taken = {
  "nessie.catalog.default-warehouse": "",
  "nessie.catalog.service.s3.default-options.*": "",
  "nessie.catalog.warehouses.lakehouse.*": "",
  "nessie.server.authentication.*": "",
  "nessie.version.store.*": "",
  "quarkus.datasource.*": "postgresql.auth",
  "quarkus.http.port": "",
  "quarkus.management.*": "",
  "s3-key.*": "minio.auth",
};
/** Variables that the platform sets, by the key to use instead. */
const variables = {
  HOME: "",
  DATABASE_PASSWORD: "postgresql.auth",
  DATABASE_USERNAME: "postgresql.auth",
  S3_ACCESS_KEY: "minio.auth",
  S3_SECRET_KEY: "minio.auth",
};

const config = block({
  enabled: enabled(),
  // The newest whose server is complete in Maven Central, which the tests run.
  image: image("ghcr.io/projectnessie/nessie:0.99.0"),
  replicas: count("servers", 1, 16)
    .default(1)
    .describe("Servers. They keep everything in PostgreSQL, so any of them may answer any client."),
  resources: resources({ cpu: "50m", memory: "640Mi" }),
  ...workload({
    priority: "storage",
    sets: variables,
  }),
  settings: settings({
    sets: taken,
    // A segment with dots is in quotes.
    name: /^[A-Za-z_][\w-]*(\.([\w-]+|"[\w./-]+"))*$/,
    example: "quarkus.log.level",
    variable: `\${NAME}`,
    reference: /^urn:nessie-secret:/,
  }).describe(
    `Settings of \`application.properties\` by their names, such as \`quarkus.log.level: DEBUG\`. \`\${NAME}\` is a variable of \`nessie.env\`.`,
  ),
  service,
})
  .superRefine(({ settings, env, envFrom }, context) => {
    // `${NAME:default}` needs no variable, and a name with dots is another setting.
    for (const [setting, name] of missingVariables(settings, /\$\{([A-Z_][A-Z0-9_]*)\}/g, { env, envFrom }, variables))
      context.addIssue({
        code: "custom",
        path: ["settings", setting],
        input: settings[setting],
        message: `expected the variable ${name} in nessie.env, with the Secret's key that it is from`,
      });
  })
  .prefault({});

export const nessie = component({
  title: "Nessie",
  summary: "Iceberg REST catalog with branches and history",
  folder: "nessie",
  images: nessieImages,
  namespace: "core",
  config,
  needs: { postgresql: "it keeps its versions there", minio: "the tables are stored there" },
});
