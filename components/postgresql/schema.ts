import { z } from "zod";
import { auth, block, count, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { tagOf } from "../../config/images.ts";
import { workload } from "../../config/pods.ts";
import { settings } from "../../config/settings.ts";
import { component } from "../kit/definition.ts";
import { postgresqlImages } from "./images.ts";

/** 17 is the oldest major that every component of the platform is tested with; its data is under …/data/pgdata. */
export const postgresqlImage = "postgres:17.12";

/** Of PostgreSQL itself: its superuser, its templates, and what no role may be called. */
const reserved = /^(postgres|template0|template1|public|none|pg_.*)$/;
const databaseExpected =
  "expected a database's name: a lower-case letter, then at most 62 letters, digits and underscores, not ending in one";

/** An empty server takes some 50 MiB, and its log at least 32 MiB. */
export const leastVolume = "512Mi";

const databaseName = z
  .string({ error: databaseExpected })
  .regex(/^[a-z]([a-z0-9_]{0,61}[a-z0-9])?$/, { error: databaseExpected })
  .refine((name) => !reserved.test(name), {
    error: "expected a name that is not PostgreSQL's own: postgres, template0, template1, public, none or pg_…",
  });
const extensionExpected = "expected an extension's name such as pg_trgm";

/** Where the data is, how clients connect, and what this block has a key for. Logs go to the container's output. */
const taken = {
  config_file: "",
  data_directory: "",
  external_pid_file: "",
  hba_file: "",
  ident_file: "",
  listen_addresses: "",
  log_destination: "",
  logging_collector: "",
  max_connections: "postgresql.maxConnections",
  password_encryption: "",
  port: "",
  reserved_connections: "postgresql.maxConnections",
  superuser_reserved_connections: "postgresql.maxConnections",
  unix_socket_directories: "",
};

const config = block({
  enabled: enabled(),
  image: image(postgresqlImage)
    .refine((reference) => postgresqlMajor(reference) !== undefined, {
      error:
        "expected a tag that starts with the major version, 16 to 18, such as postgres:17.12: it decides where the data is",
    })
    .refine((reference) => !/alpine/i.test(tagOf(reference)), {
      error: `expected the image on Debian, such as ${postgresqlImage}: the one on Alpine has another user and other paths`,
    }),
  resources: resources({ cpu: "100m", memory: "512Mi" }),
  storage: storage("10Gi", "the volume", leastVolume),
  ...workload({
    priority: "storage",
    sets: {
      BIN: "",
      MOUNT: "",
      PGDATA: "",
      PGDATABASE: "",
      PGHOST: "",
      PGUSER: "",
      DATABASES: "postgresql.databases",
      EXTENSIONS: "postgresql.extensions",
      MONITOR: "monitoring.enabled",
      PGPASSWORD: "postgresql.auth",
    },
  }),
  service,
  auth: auth("the key password, the superuser's"),
  maxConnections: count("connections", 20, 2_000)
    .default(200)
    .describe(
      "Connections PostgreSQL accepts at once: at least what the pools of its clients may hold together. Each costs about 10 MiB when busy.",
    ),
  settings: settings({
    sets: taken,
    name: /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)?$/,
    example: "work_mem",
  }).describe(
    "Settings of `postgresql.conf` by their names, such as `work_mem: 16MB`. They replace those that the platform computes from the memory limit.",
  ),
  databases: z
    .array(databaseName, { error: "expected a list of names" })
    .default([])
    .describe("Databases beside those of the platform's components, each with a user of the same name."),
  extensions: z
    .record(
      databaseName,
      z.array(z.string({ error: extensionExpected }).regex(/^[a-z][a-z0-9_-]{0,62}$/, { error: extensionExpected }), {
        error: "expected a list of extensions",
      }),
      { error: "expected lists of extensions by their databases" },
    )
    .default({})
    .describe(
      "Extensions to create, by the database that they are created in, such as `shop: [pg_trgm, hstore]`. The image must contain them.",
    ),
}).prefault({});

export const postgresql = component({
  title: "PostgreSQL",
  summary: "Relational database, with a database and a user for each client",
  folder: "postgresql",
  images: postgresqlImages,
  namespace: "core",
  config,
});

/** The major version in an image's tag; undefined if its data layout is unknown here. */
export function postgresqlMajor(reference: string): number | undefined {
  // Not the digits that a commit begins with.
  const major = Number(/^(\d+)(?=[.-]|beta|rc|$)/.exec(tagOf(reference))?.[1]);
  return major >= 16 && major <= 18 ? major : undefined;
}
