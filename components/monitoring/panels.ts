import { panels as airflow } from "../airflow/dashboard.ts";
import { panels as clickhouse } from "../clickhouse/dashboard.ts";
import { panels as flink } from "../flink/dashboard.ts";
import { panels as kafka } from "../kafka/dashboard.ts";
import type { Panel } from "../kit/panel.ts";
import { panels as minio } from "../minio/dashboard.ts";
import { panels as nessie } from "../nessie/dashboard.ts";
import { panels as postgresql } from "../postgresql/dashboard.ts";
import { panels as redis } from "../redis/dashboard.ts";
import { panels as schemaRegistry } from "../schema-registry/dashboard.ts";
import { panels as spark } from "../spark/dashboard.ts";
import { panels as superset } from "../superset/dashboard.ts";
import { panels as trino } from "../trino/dashboard.ts";

/** The panels of each dashboard, by the component's name. First availability, then saturation. */
export const panels: Record<string, Panel[]> = {
  airflow,
  clickhouse,
  flink,
  kafka,
  minio,
  nessie,
  postgresql,
  redis,
  "schema-registry": schemaRegistry,
  spark,
  superset,
  trino,
};
