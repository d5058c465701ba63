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
export const djangoDatabase = (app: string) => `django_${app.replaceAll("-", "_")}` as const;

export type Database = (typeof clients)[number] | ReturnType<typeof noetlDatabase> | ReturnType<typeof djangoDatabase>;

/** The databases of this stack's clients. `postgresql.databases` come on top. */
export function databases({ noetl, djangoApps }: Pick<Config, "noetl" | "djangoApps">): Database[] {
  const ofNoetl = noetl.enabled ? Object.keys(noetl.instances).map(noetlDatabase) : [];
  const ofDjango = Object.entries(djangoApps)
    .filter(([, app]) => app.database === "postgresql")
    .map(([name]) => djangoDatabase(name));
  return [...clients, ...ofNoetl, ...ofDjango];
}
