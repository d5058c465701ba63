import { mostReplicas } from "../../config/autoscale.ts";
import type { Config } from "../../config/schema.ts";

/*
 * Connections that each client of PostgreSQL may hold at once. The components configure their pools and threads from
 * these numbers, so the sum is an upper bound. Not counted: Trino's connector, queries of Superset's users, setup Jobs
 * and people, who hold a connection only for a query or a Job.
 */

/** Nessie: `quarkus.datasource.postgresql.jdbc.max-size`. Set, because Quarkus' default changes with its version. */
export const nessiePool = 10;

/** Airflow: requests that an API server works on at once (request_limit.py). Others wait without a connection. */
export const airflowRequests = 10;
/**
 * Airflow: `[database] sql_alchemy_pool_size` and `sql_alchemy_max_overflow` of each process, Airflow's defaults, and all
 * connections of an API server's pool. A request holds at most two at once, its own and that of a function that opens
 * one (`provide_session`); the check of a token and the readiness probe have one each.
 */
export const airflowPool = { size: 5, overflow: 10, apiServer: 2 * airflowRequests + 2 };
/**
 * Airflow: an API server's second pool, for asynchronous sessions. airflow/settings.py gives it the size, but not the
 * overflow: that is SQLAlchemy's default, 10.
 */
const airflowAsyncPool = airflowPool.size + 10;
/** Airflow: both pools of an API server. */
export const airflowApiServer = airflowPool.apiServer + airflowAsyncPool;

/** KEDA with `airflow.worker.autoscale.queue`: its polls, and those of the autoscaler that it makes. */
const kedaPool = 2;

/** Superset: threads per web server process. Each holds one connection for a request. */
export const supersetThreads = 8;
/**
 * Superset: concurrent tasks per Celery worker. Each holds one connection for its own state and one for the query's.
 */
export const supersetTasks = 2;

/** Django applications: threads per process. Each keeps one connection. */
export const djangoThreads = 4;

/**
 * NoETL: `NOETL_POSTGRES_POOL_MAX_SIZE` and `NOETL_BG_POOL_MAX_SIZE` (noetl/core/db/pool.py of 4.26; its defaults are
 * 32 and 4). Versions that do not read the two hold 5 to 20. Workers query through the server.
 */
export const noetlPool = { server: 16, background: 4 };

/** `superuser_reserved_connections`, PostgreSQL's default. */
export const reserved = 3;

/** Connections per component, the largest number first. */
function connections(config: Config): [client: string, most: number][] {
  const { nessie, airflow, superset, noetl, polls, djangoApps, monitoring } = config;
  const pool = airflowPool.size + airflowPool.overflow;
  // The DAG processor and the triggerer have a pool each, and a probe that opens one connection. A worker writes one
  // result at a time.
  const ofAirflow =
    airflow.apiServer.replicas * airflowApiServer +
    airflow.scheduler.replicas * pool +
    2 * (pool + 1) +
    mostReplicas(airflow.worker) +
    (airflow.worker.autoscale?.queue ? kedaPool : 0);
  const ofSuperset =
    superset.web.replicas * superset.web.workers * supersetThreads + mostReplicas(superset.worker) * supersetTasks * 2;
  const django = Object.entries({
    ...(polls.enabled && { polls }),
    ...Object.fromEntries(Object.entries(djangoApps).map(([name, app]) => [`djangoApps.${name}`, app])),
  }).filter(([, app]) => app.database === "postgresql");
  const all: [string, number][] = [
    ["nessie", nessie.enabled ? nessie.replicas * nessiePool : 0],
    ["airflow", airflow.enabled ? ofAirflow : 0],
    ["superset", superset.enabled ? ofSuperset : 0],
    ["noetl", noetl.enabled ? Object.keys(noetl.instances).length * (noetlPool.server + noetlPool.background) : 0],
    ...django.map(([name, app]): [string, number] => [name, app.replicas * app.workers * djangoThreads]),
    ["monitoring", monitoring.enabled ? 1 : 0],
  ];
  return all.filter(([, most]) => most > 0).sort(([, a], [, b]) => b - a);
}

/** The problem if `postgresql.maxConnections` is too small for its clients' pools; undefined if it is large enough. */
export function tooFewConnections(config: Config): string | undefined {
  const clients = connections(config);
  const sum = clients.reduce((total, [, most]) => total + most, 0);
  if (config.postgresql.maxConnections >= sum + reserved) return undefined;
  const list = clients.map(([client, most]) => `${client} ${most}`).join(", ");
  return `expected at least ${sum + reserved}: its clients may hold ${sum} connections at once (${list}) and PostgreSQL keeps ${reserved} for its superuser; or fewer servers or processes of those`;
}
