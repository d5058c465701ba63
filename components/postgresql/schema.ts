import { z } from "zod";
import { auth, block, count, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { tagOf } from "../../config/images.ts";
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
  service,
  auth: auth("the key password, the superuser's"),
  maxConnections: count("connections", 20, 2_000)
    .default(200)
    .describe(
      "Connections PostgreSQL accepts at once: at least what the pools of its clients may hold together. Each costs about 10 MiB when busy.",
    ),
  databases: z
    .array(
      z
        .string({ error: databaseExpected })
        .regex(/^[a-z]([a-z0-9_]{0,61}[a-z0-9])?$/, { error: databaseExpected })
        .refine((name) => !reserved.test(name), {
          error: "expected a name that is not PostgreSQL's own: postgres, template0, template1, public, none or pg_…",
        }),
      { error: "expected a list of names" },
    )
    .default([])
    .describe("Databases beside those of the platform's components, each with a user of the same name."),
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
