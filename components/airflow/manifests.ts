import { mostReplicas } from "../../config/autoscale.ts";
import { derived, either, when } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { BucketConnection, RedisConnection, SqlConnection, StatsdConnection } from "../kit/connection.ts";
import { checkedPythonPassword, pythonPassword } from "../kit/password.ts";
import { type Container, configFiles, secretFiles, type Volume } from "../kit/pod.ts";
import type { SecretKey, TypedSecret } from "../kit/secret.ts";
import { setUpScript } from "../kit/set-up.ts";
import { withSettings } from "../kit/settings.ts";
import { airflowPool, airflowRequests } from "../postgresql/connections.ts";
import { isHttp, isSsh } from "./schema.ts";

/*
 * The configuration files, environment and scripts of Airflow's processes. Pure functions.
 */

/** Paths of the API server that the kubelet asks. */
export const probes = {
  startup: "/execution/health",
  readiness: "/api/v2/monitor/health",
  liveness: "/api/v2/version",
};

export const ports = { http: 8080, health: 8974, workerLogs: 8793, triggererLogs: 8794 };

/** Paths in every pod. */
export const paths = {
  config: "/opt/airflow/config",
  dags: "/opt/airflow/dags",
  logs: "/opt/airflow/logs",
  /** The key and the known hosts of a git repository over SSH. */
  gitKeys: "/run/git",
  /** The certificates of a git server's authority. */
  gitAuthority: "/etc/git-authority",
  /** Airflow loads the modules of this folder as plugins. */
  plugins: "/opt/airflow/plugins",
};

/** Keys that every process shares: for the tokens of tasks, for sessions, and for the encryption of stored connections. */
export type Keys = TypedSecret<"fernet-key" | "jwt-secret" | "secret-key">;

interface Connections {
  database: SqlConnection;
  queue: RedisConnection;
  logs: BucketConnection;
}

/** The variables of every process. Kubernetes expands each `$(…)` from a variable before it, so no manifest holds a secret. */
export function environment({ database, queue, logs }: Connections, keys: Keys): NonNullable<Container<never>["env"]> {
  const sql = `$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@${database.host}:${database.port}/${database.database}`;
  return {
    DATABASE_USERNAME: database.username,
    DATABASE_PASSWORD: database.password,
    QUEUE_PASSWORD: queue.password,
    LOGS_ACCESS_KEY: logs.accessKey,
    LOGS_SECRET_KEY: logs.secretKey,
    AIRFLOW__CORE__FERNET_KEY: keys.key("fernet-key"),
    AIRFLOW__API_AUTH__JWT_SECRET: keys.key("jwt-secret"),
    AIRFLOW__API__SECRET_KEY: keys.key("secret-key"),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: `postgresql+psycopg2://${sql}`,
    AIRFLOW__CELERY__RESULT_BACKEND: `db+postgresql+psycopg2://${sql}`,
    // The password may come from an existing Secret and then needs URL encoding, which `$(…)` does not do.
    AIRFLOW__CELERY__BROKER_URL_CMD: `python ${paths.config}/queue_address.py`,
    AIRFLOW_CONN_MINIO: JSON.stringify({
      conn_type: "aws",
      login: "$(LOGS_ACCESS_KEY)",
      password: "$(LOGS_SECRET_KEY)",
      // With a custom endpoint, the client uses path style.
      extra: { endpoint_url: logs.endpoint, region_name: logs.region },
    }),
    POD_IP: { field: "status.podIP" },
    // Holds pod_address.py and celery_config.py, which airflow.cfg names.
    PYTHONPATH: paths.config,
    AIRFLOW_HOME: "/opt/airflow",
    AIRFLOW_CONFIG: `${paths.config}/airflow.cfg`,
    HOME: "/tmp",
  };
}

/** Connections and variables of DAGs, as variables of the containers. */
export const dagVariables = ({ connections, variables }: Config["airflow"]) =>
  Object.fromEntries([
    ...Object.entries(connections).map(([id, value]) => [`AIRFLOW_CONN_${id.toUpperCase()}`, value]),
    ...Object.entries(variables).map(([id, value]) => [`AIRFLOW_VAR_${id.toUpperCase()}`, value]),
  ]);

/** Names of a Secret's keys for a repository: a user and a token, or for SSH a private key and the server's keys. */
export type GitAccess = TypedSecret<"username" | "password" | "ssh-privatekey" | "known_hosts">;

/** The git repository of the DAGs. */
export type Repository = NonNullable<Config["airflow"]["dags"]["git"]>;

/** Where the containers find what git reads: keys for SSH, and the certificates of a private authority. */
export const gitMounts = ({ repository, caConfigMap }: Repository, access?: GitAccess): Record<string, string> => ({
  ...when(access, () => when(isSsh(repository), () => ({ [paths.gitKeys]: "git-keys" }))),
  ...(caConfigMap && { [paths.gitAuthority]: "git-authority" }),
});

/** The volumes of these. */
export const gitVolumes = ({ repository, caConfigMap }: Repository, access?: GitAccess): Record<string, Volume> => ({
  ...when(access, (secret) =>
    when(isSsh(repository), () => ({
      "git-keys": secretFiles({
        "ssh-privatekey": secret.key("ssh-privatekey"),
        known_hosts: secret.key("known_hosts"),
      }),
    })),
  ),
  ...(caConfigMap && { "git-authority": configFiles(caConfigMap) }),
});

/**
 * Access to the git repository of the DAGs. User and token reach git by a credential helper, because Airflow would write
 * them into the repository's URL and so into git's arguments, which every process can read.
 */
export function gitEnvironment(
  { repository, caConfigMap }: Repository,
  access?: GitAccess,
): Record<string, string | SecretKey> {
  const overSsh = isSsh(repository);
  const ssh = {
    key_file: `${paths.gitKeys}/ssh-privatekey`,
    known_hosts_file: `${paths.gitKeys}/known_hosts`,
    strict_host_key_checking: "yes",
  };
  return {
    // The URL alone: without a connection, Airflow logs that it found none.
    AIRFLOW_CONN_DAGS: `{"conn_type":"git","host":${jsonText(repository)}${either(
      overSsh,
      () => `,"extra":${JSON.stringify(ssh)}`,
      () => "",
    )}}`,
    GIT_TERMINAL_PROMPT: "0",
    ...(caConfigMap && { GIT_SSL_CAINFO: `${paths.gitAuthority}/ca.crt` }),
    ...when(access, (secret) =>
      when(isHttp(repository), () => ({
        GIT_USERNAME: secret.key("username"),
        GIT_PASSWORD: secret.key("password"),
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "credential.helper",
        // `$(…)` drops trailing line ends. printf, because echo interprets backslashes.
        GIT_CONFIG_VALUE_0:
          '!printf "username=%s\\npassword=%s\\n" "$(printf %s "$GIT_USERNAME")" "$(printf %s "$GIT_PASSWORD")"; :',
      })),
    ),
  };
}

/** The DAG bundle: the source of the DAGs, as Airflow's configuration has it, in JSON. */
const bundle = ({ git }: Config["airflow"]["dags"]): string =>
  either(
    git,
    ({ repository, branch, folder }) =>
      `{"name":"git","classpath":"airflow.providers.git.bundles.git.GitDagBundle","kwargs":{"git_conn_id":"dags",` +
      `"repo_url":${literal(jsonText(repository))},"tracking_ref":"${branch}",${either(
        folder,
        (found) => `"subdir":"${found}",`,
        () => "",
      )}"refresh_interval":60}}`,
    () =>
      literal(
        JSON.stringify({
          name: "configmap",
          classpath: "airflow.dag_processing.bundles.local.LocalDagBundle",
          // A ConfigMap's files are symlinks into ..data, itself a symlink: Airflow takes the directory above for a loop.
          kwargs: { path: `${paths.dags}/..data`, refresh_interval: 30 },
        }),
      ),
  );

/**
 * Limits on the number of tasks that run at once: the scheduler's parallelism, and the slots of the default pool, which
 * the database migration creates. Airflow's defaults, 32 and 128, or as many tasks as the workers can run.
 */
export function capacity({ worker }: Config["airflow"]) {
  const tasks = (least: number) => String(product(mostReplicas(worker), worker.concurrency, least));
  return {
    scheduler: { AIRFLOW__CORE__PARALLELISM: tasks(32) },
    setup: { AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT: tasks(128) },
  };
}

/** `airflow.cfg` with the stack's options, each in its section. */
function withOptions(file: string, options: Record<string, string>): string {
  const sections = file.split(/^(?=\[)/m);
  for (const name of new Set(Object.keys(options).map((option) => option.split(".")[0]))) {
    const own = Object.entries(options).flatMap(([option, value]): [string, string][] => {
      const [section, key = ""] = option.split(".");
      // A percent sign begins an interpolation.
      return section === name ? [[key, value.replaceAll("%", "%%")]] : [];
    });
    const found = sections.findIndex((section) => section.startsWith(`[${name}]\n`));
    const before = found < 0 ? `[${name}]\n` : (sections[found] ?? "").trimEnd();
    const merged = `${withSettings(before, Object.fromEntries(own), { between: " = " }).trimEnd()}\n`;
    if (found < 0) sections.push(`\n${merged}`);
    else sections[found] = found < sections.length - 1 ? `${merged}\n` : merged;
  }
  return sections.join("");
}

/** The product of two numbers, but at least `least`. */
const product = derived("product", (one: number, other: number, least: number): number => Math.max(least, one * other));

/** A text in JSON. */
const jsonText = derived("jsonText", (text: string): string => JSON.stringify(text));

/** Text as a value of airflow.cfg, where `%` begins an interpolation. */
const literal = derived("literal", (text: string): string => text.replaceAll("%", "%%"));

/** An API server's own pool, for `airflowRequests`. Its asynchronous sessions have another one. */
export const apiServerPool = {
  AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW: String(airflowPool.apiServer - airflowPool.size),
};

/** The API server takes scheme, host and client from X-Forwarded-*. Anyone who reaches its port can set them. */
export const behindProxy = { FORWARDED_ALLOW_IPS: "*" };

export const settings = (
  { dags, settings: own }: Pick<Config["airflow"], "dags" | "settings">,
  { api, page }: { api: string; page: string },
  { bucket }: BucketConnection,
  queue: RedisConnection,
  statsd?: StatsdConnection,
) => ({
  "airflow.cfg": withOptions(
    `[core]
executor = CeleryExecutor
auth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager
execution_api_server_url = ${api}/execution/
# A pod's name is known to no other pod; by its address the API server reads the log of a task that still runs.
hostname_callable = pod_address.in_url
load_examples = False

[database]
sql_alchemy_pool_size = ${airflowPool.size}
sql_alchemy_max_overflow = ${airflowPool.overflow}

[celery]
celery_config_options = celery_config.CELERY_CONFIG

[api]
${either(
  page,
  () => `# What people type: links in pages and mails begin with it.\nbase_url = ${page}\n`,
  () => "",
)}# Empty: every address, IPv4 and IPv6.
host =
port = ${ports.http}
workers = 1

[workers]
# A busy API server may take longer than the 5 seconds that Airflow has here.
execution_api_timeout = 30

[scheduler]
enable_health_check = True
# It knows IPv4 alone, so the probe asks it within the pod.
scheduler_health_check_server_host = 127.0.0.1
scheduler_health_check_server_port = ${ports.health}

[dag_processor]
parsing_processes = 1
dag_bundle_config_list = [${bundle(dags)}]

[celery_broker_transport_options]
# Seconds after which Redis hands a task to another worker. A task that runs longer is run twice.
visibility_timeout = 86400
# Without these, a process waits forever for a Redis that has gone without closing its connections, and does not stop.
socket_timeout = 10
socket_connect_timeout = 5

[logging]
remote_logging = True
remote_base_log_folder = s3://${bucket}/logs
remote_log_conn_id = minio
# Once a log is in the bucket, the pod's own copy is of no use.
delete_local_logs = True
worker_log_server_port = ${ports.workerLogs}
trigger_log_server_port = ${ports.triggererLogs}
dag_processor_log_target = stdout
colored_console_log = False

[fab]
${either(
  page,
  () =>
    "# The login page, a WSGI application of its own, takes X-Forwarded-* too.\nenable_proxy_fix = True\n# Browsers send the session by HTTPS alone.\ncookie_secure = True\n",
  () => "",
)}config_file = ${paths.config}/webserver_config.py
${either(statsd, metrics, () => "")}`,
    own,
  ),
  "queue_address.py": `"""Where the queue is, with its password. As a program it prints that, for Airflow's own configuration."""
import os
import sys
from urllib.parse import quote

password = quote(${pythonPassword("QUEUE_PASSWORD")}, safe="")
url = f"redis://${queue.username ?? ""}:{password}@${queue.host}:${queue.port}/${queue.database}"
if __name__ == "__main__":
    sys.stdout.write(url)
`,
  "webserver_config.py": `from flask_appbuilder.const import AUTH_DB
from queue_address import url

AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None
# Attempts to log in are counted for all API servers together.
RATELIMIT_STORAGE_URI = url
`,
  "pod_address.py": podAddress,
  "celery_config.py": celeryConfig,
  "celery_consumer.py": celeryConsumer,
  "request_limit.py": requestLimit,
  "alive.py": alive,
  ...setUpScript,
});

const metrics = ({ host, port }: StatsdConnection) => `
[metrics]
statsd_on = True
statsd_host = ${host}
statsd_port = ${port}
statsd_prefix = airflow
# Sends a metric's DAG, task and the like as tags, not in its name.
statsd_influxdb_enabled = True
legacy_names_on = False
`;

/** Airflow's own function finds IPv4 addresses only. */
const podAddress = `"""The pod's address, by which Airflow's processes know each other."""
import os


def in_url():
    address = os.environ["POD_IP"]
    return f"[{address}]" if ":" in address else address
`;

/**
 * Without a pool, because each of a worker's processes would keep the connection over which it wrote a result: one for
 * each task that may run at once. Airflow's own options are JSON, which cannot name a class.
 */
const celeryConfig = `from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from sqlalchemy.pool import NullPool

CELERY_CONFIG = DEFAULT_CELERY_CONFIG | {
    "database_engine_options": DEFAULT_CELERY_CONFIG["database_engine_options"] | {"poolclass": NullPool},
    "worker_consumer": "celery_consumer:Consumer",
}
`;

/**
 * Celery 5.6 sends a heartbeat every two seconds from the worker's main loop, and repeats one that fails until Redis takes
 * it, without a look at the signal to stop (celery/worker/heartbeat.py: `retry=True`). Airflow reads no heartbeats, but its
 * command has no option to leave them out.
 */
const celeryConsumer = `"""A worker's consumer without event heartbeats, so that a worker without Redis still stops on SIGTERM."""
from celery.worker.consumer import Consumer as CeleryConsumer


class Consumer(CeleryConsumer):
    def __init__(self, *args, worker_options=None, **options):
        super().__init__(*args, worker_options={**(worker_options or {}), "without_heartbeat": True}, **options)
`;

/**
 * Airflow 3.3 looks in the event loop whether a request's token is revoked (base_auth_manager.py), and holds a request's
 * connection while its answer waits for one of 40 threads. With more requests than connections, all connections belong
 * to requests that wait for the event loop, and that waits for a connection: nothing is answered, the probes neither.
 */
const requestLimit = `"""Works on a limited number of requests at once. Others wait for their turn, without a connection to the database."""
import asyncio

from airflow.plugins_manager import AirflowPlugin

# The kubelet's probes do not wait.
PROBES = {${Object.values(probes)
  .map((path) => `"${path}"`)
  .join(", ")}}


class RequestLimit:
    def __init__(self, app, most):
        self.app = app
        self.turns = asyncio.Semaphore(most)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        await self.turns.acquire()
        works = True

        def done():
            nonlocal works
            if works:
                works = False
                self.turns.release()

        async def answer(message):
            # Its connection is back in the pool by now, and a stream may last for hours.
            done()
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            done()


class RequestLimitPlugin(AirflowPlugin):
    name = "request_limit"
    fastapi_root_middlewares = [
        {"name": "request limit", "middleware": RequestLimit, "kwargs": {"most": ${airflowRequests}}}
    ]
`;

/** Airflow's own checks load all of Airflow, which takes seconds of CPU. This makes the same queries without it. */
const alive = `"""Whether the process in this pod works: succeeds or fails. The argument says what it is."""
import os
import socket
import sys

from pod_address import in_url

host = socket.gethostname()


def worker():
    from celery import Celery
    from queue_address import url

    app = Celery(broker=url)
    return app.control.inspect([f"celery@{host}"], timeout=8).ping()


def job(kind):
    import psycopg2

    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    with psycopg2.connect(url, connect_timeout=8) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM job WHERE job_type = %s AND hostname = %s AND state = 'running'"
            " AND latest_heartbeat > now() - interval '60 seconds'",
            (kind, in_url()),
        )
        return cursor.fetchone()


sys.exit(0 if (worker() if sys.argv[1] == "worker" else job(sys.argv[1])) else 1)
`;

/**
 * Migrates the database, writes the user `admin` with the Secret's password, and the stack's pools, and records that it
 * has. Idempotent.
 */
export const setUp = (password: SecretKey, pools: Config["airflow"]["pools"]) => ({
  "setup.py": `import os
import subprocess

import set_up

set_up.wait_for_database()
subprocess.run(["airflow", "db", "migrate"], check=True)

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils.providers_configuration_loader import providers_configuration_loaded


@providers_configuration_loaded
def admin(password):
    with get_application_builder() as builder:
        manager = builder.sm
        user = manager.find_user("admin")
        if user:
            done = manager.reset_password(user.id, password)
        else:
            done = manager.add_user("admin", "Platform", "Admin", "admin@localhost", manager.find_role("Admin"), password)
        if not done:
            raise SystemExit("the user admin could not be written")
        print("the user admin has", "a new password" if user else "been made")


# By the environment: as an argument every process could read it.
${checkedPythonPassword("ADMIN_PASSWORD", password)}
admin(password)
${Object.keys(pools).length > 0 ? writePools : ""}
set_up.record()
`,
  ...(Object.keys(pools).length > 0 && { "pools.json": JSON.stringify(pools, null, 2) }),
});

const writePools = `
import json

from airflow.models.pool import Pool

for name, pool in json.load(open("/opt/setup/pools.json")).items():
    Pool.create_or_update_pool(
        name=name,
        slots=pool["slots"],
        description=pool["description"],
        include_deferred=pool["includeDeferred"],
    )
    print("the pool", name, "has", pool["slots"], "slots")
`;

/** One example DAG, so that a new platform has something to run. */
export const examples = {
  "hello.py": `"""Shows that everything is in place. It runs when someone triggers it."""
import socket

from airflow.sdk import dag, task


@dag(schedule=None, tags=["example"], doc_md=__doc__)
def hello():
    @task
    def greet() -> str:
        host = socket.gethostname()
        print(f"Hello from {host}")
        return host

    greet()


hello()
`,
};
