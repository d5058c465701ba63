import { airflow } from "./airflow/schema.ts";
import { clickhouse } from "./clickhouse/schema.ts";
import { cloudnativePg } from "./cloudnative-pg/schema.ts";
import { deployd } from "./deployd/schema.ts";
import { djangoApps, polls } from "./django/schema.ts";
import { flink } from "./flink/schema.ts";
import { kafka } from "./kafka/schema.ts";
import { minio } from "./minio/schema.ts";
import { monitoring } from "./monitoring/schema.ts";
import { nessie } from "./nessie/schema.ts";
import { noetl } from "./noetl/schema.ts";
import { postgresql } from "./postgresql/schema.ts";
import { redis } from "./redis/schema.ts";
import { schemaRegistry } from "./schema-registry/schema.ts";
import { spark } from "./spark/schema.ts";
import { superset } from "./superset/schema.ts";
import { trino } from "./trino/schema.ts";
import { webApp } from "./web-app/schema.ts";

/**
 * Every component, by its key in a stack's configuration, in the order in which the documentation lists them: a
 * component comes after those that it needs. What each needs and offers is in its `schema.ts`; `platform.ts` wires them.
 */
export const registry = {
  postgresql,
  redis,
  minio,
  nessie,
  kafka,
  schemaRegistry,
  clickhouse,
  trino,
  flink,
  spark,
  airflow,
  superset,
  noetl,
  polls,
  webApp,
  deployd,
  cloudnativePg,
  monitoring,
  djangoApps,
};

export type Registry = typeof registry;
export type ComponentKey = keyof Registry;

/** The components of the registry that `key` does not work without. */
export type NeedsOf<Key extends ComponentKey> = Extract<keyof Registry[Key]["needs"], string>;
/** The components of the registry that `key` works with if the stack enables them. */
export type UsesOf<Key extends ComponentKey> = Registry[Key]["uses"][number];

/** The component that an object belongs to, by its label app.kubernetes.io/name; undefined for a namespace's own objects. */
export const componentOf = (name: string): ComponentKey | undefined =>
  (Object.keys(registry) as ComponentKey[]).find((key) => registry[key].names.test(name));
