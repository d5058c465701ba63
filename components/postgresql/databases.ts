import { byName, derived } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import { mainInstance } from "../noetl/schema.ts";

/*
 * Logical databases of PostgreSQL's clients. Pure, so that the schema can check what refers to one.
 */

/** One for each client. Instances of NoETL and Django applications have one each beside these. */
const clients = ["nessie", "airflow", "superset", "mlflow", "trino", "polls"] as const;

/** Name of an instance's database and of its user. */
export const noetlDatabase = (instance: string): `noetl${string}` =>
  instance === mainInstance ? "noetl" : `noetl_${instance}`;

/** Database and user of one of `djangoApps`. No other client's database starts with `django_`. */
export const djangoDatabase = (app: string) => `django_${withUnderscores(app)}` as const;
const withUnderscores = derived("withUnderscores", (name: string): string => name.replaceAll("-", "_"));

export type Database = (typeof clients)[number] | ReturnType<typeof noetlDatabase> | ReturnType<typeof djangoDatabase>;

/** A database, and whether there is one for it to exist. */
export interface Wanted<D extends string> {
  database: D;
  /** What must be set. Default: it always exists. */
  wantedBy?: unknown;
}

/** The databases of a stack's clients, each with its condition. */
export function wantedDatabases({ noetl, djangoApps }: Pick<Config, "noetl" | "djangoApps">): Wanted<Database>[] {
  const ofNoetl = Object.keys(noetl.instances).map((name) => ({
    database: noetlDatabase(name),
    wantedBy: noetl.enabled,
  }));
  const ofDjango = byName(djangoApps)
    .filter(([, app]) => app.database === "postgresql")
    .map(([name]) => ({ database: djangoDatabase(name) }));
  return [...clients.map((database) => ({ database })), ...ofNoetl, ...ofDjango];
}

/** The databases of this stack's clients. `postgresql.databases` come on top. */
export const databases = (config: Pick<Config, "noetl" | "djangoApps">): Database[] =>
  wantedDatabases(config).flatMap(({ database, wantedBy = true }) => (wantedBy ? [database] : []));
