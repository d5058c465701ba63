import { supersetThreads } from "../../config/connections.ts";
import type {
  ClickhouseConnection,
  RedisConnection,
  SqlConnection,
  StatsdConnection,
  TrinoConnection,
} from "../kit/connection.ts";
import type { SecretKey } from "../kit/secret.ts";

/*
 * What Superset reads, as files. They say where things are; user names and passwords come from the environment, and
 * `os.environ[…]` ends a process that lacks one.
 */

export const port = 8088;

/** The databases that users find at their first login. Trino and ClickHouse are there where the stack has them. */
export interface Sources {
  trino?: TrinoConnection;
  clickhouse?: ClickhouseConnection;
  postgresql: SqlConnection;
}

interface Stores {
  database: SqlConnection;
  cache: RedisConnection;
  queue: RedisConnection;
}

/** What every process needs to know that may not stand in a file. */
export const credentialsOf = ({ database, cache, queue }: Stores, secretKey: SecretKey): Record<string, SecretKey> => ({
  SUPERSET_SECRET_KEY: secretKey,
  DATABASE_USERNAME: database.username,
  DATABASE_PASSWORD: database.password,
  CACHE_PASSWORD: cache.password,
  QUEUE_PASSWORD: queue.password,
});

/** Keys of `superset_config.py`; what is not here is as Superset has it. */
export const settings = ({ database, cache, queue }: Stores, statsd?: StatsdConnection) => ({
  "superset_config.py": `import hashlib
import os
from pathlib import Path
from urllib.parse import quote

from cachelib.redis import RedisCache
from celery.schedules import crontab
from celery.signals import after_task_publish
${statsd ? "from superset.stats_logger import StatsdStatsLogger\n" : ""}

def secret(name):
    return quote(os.environ[name], safe="")


def derived(use):
    """A key of its own for each use, which changes only with the one they are made of."""
    return hashlib.sha256(f"{use}:{SECRET_KEY}".encode()).hexdigest()


SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
GUEST_TOKEN_JWT_SECRET = derived("guest tokens")
GLOBAL_ASYNC_QUERIES_JWT_SECRET = derived("asynchronous queries")

SQLALCHEMY_DATABASE_URI = (
    f"postgresql+psycopg2://{secret('DATABASE_USERNAME')}:{secret('DATABASE_PASSWORD')}"
    "@${database.host}:${database.port}/${database.database}"
)
# A server that was restarted has closed the connections that wait here.
SQLALCHEMY_ENGINE_OPTIONS = {"pool_pre_ping": True}

CACHE_REDIS_URL = f"redis://:{secret('CACHE_PASSWORD')}@${cache.host}:${cache.port}/${cache.database}"
QUEUE_REDIS_URL = f"redis://:{secret('QUEUE_PASSWORD')}@${queue.host}:${queue.port}/${queue.database}"


def cached(prefix, seconds):
    return {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": CACHE_REDIS_URL,
        "CACHE_KEY_PREFIX": f"superset_{prefix}_",
        "CACHE_DEFAULT_TIMEOUT": seconds,
    }


HOUR, DAY = 3600, 86400
# Redis holds queues too and drops nothing when it is full: what is here must go by itself.
CACHE_DEFAULT_TIMEOUT = HOUR
CACHE_CONFIG = cached("metadata", DAY)
DATA_CACHE_CONFIG = cached("data", HOUR)
THUMBNAIL_CACHE_CONFIG = cached("thumbnail", DAY)
FILTER_STATE_CACHE_CONFIG = cached("filter", 90 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
EXPLORE_FORM_DATA_CACHE_CONFIG = cached("explore", 7 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
# Where a worker leaves what a query of SQL Lab has found.
RESULTS_BACKEND = RedisCache(
    host="${cache.host}",
    port=${cache.port},
    db=${cache.database},
    password=os.environ["CACHE_PASSWORD"],
    key_prefix="superset_results_",
)
SQL_MAX_ROW = 50_000
SQLLAB_PAYLOAD_MAX_MB = 16

${statsd ? `STATS_LOGGER = StatsdStatsLogger(host="${statsd.host}", port=${statsd.port}, prefix="superset")\n\n` : ""}# Counted in one place, however many processes answer.
RATELIMIT_ENABLED = True
RATELIMIT_STORAGE_URI = CACHE_REDIS_URL

# A login ends with the browser's session or after twelve hours without a request. Plain HTTP is what the Service
# speaks, so the cookie cannot be for HTTPS alone.
SESSION_COOKIE_SAMESITE = "Lax"
PERMANENT_SESSION_LIFETIME = 12 * HOUR
SUPERSET_WEBSERVER_TIMEOUT = 60


class CELERY_CONFIG:
    broker_url = QUEUE_REDIS_URL
    result_backend = QUEUE_REDIS_URL
    result_expires = HOUR
    broker_connection_retry_on_startup = True
    # Longer than a query may take: what waits behind it would be handed out a second time.
    broker_transport_options = {"visibility_timeout": 7 * HOUR}
    imports = (
        "superset.sql_lab",
        "superset.tasks.scheduler",
        "superset.tasks.thumbnails",
        "superset.tasks.cache",
    )
    worker_prefetch_multiplier = 1
    task_annotations = {"sql_lab.get_sql_results": {"rate_limit": "100/s"}}
    beat_schedule = {
        # Does nothing while alerts and reports are off, but shows each minute that tasks are sent.
        "reports.scheduler": {
            "task": "reports.scheduler",
            "schedule": crontab(),
            "options": {"expires": 60},
        },
        "reports.prune_log": {"task": "reports.prune_log", "schedule": crontab(minute="0", hour="0")},
        "prune_query": {
            "task": "prune_query",
            "schedule": crontab(minute="10", hour="0"),
            "kwargs": {"retention_period_days": 180},
        },
        "prune_logs": {
            "task": "prune_logs",
            "schedule": crontab(minute="20", hour="0"),
            "kwargs": {"retention_period_days": 180, "max_rows_per_run": 100_000},
        },
    }


@after_task_publish.connect
def task_was_sent(**_):
    """What the liveness probe of the one who sends on time looks at."""
    Path("/tmp/task-sent").touch()
`,
  // Celery's own command would load all of Superset for it: ten times the work.
  "ping.py": `"""Succeeds when this pod's worker answers over the queue."""
import socket
import sys

from celery import Celery
from superset_config import QUEUE_REDIS_URL

worker = f"worker@{socket.gethostname()}"
sys.exit(not Celery(broker=QUEUE_REDIS_URL).control.inspect([worker], timeout=10).ping())
`,
});

/** gunicorn's own settings. */
export const server = (processes: number) => ({
  "gunicorn.conf.py": `bind = "0.0.0.0:${port}"
workers = ${processes}
worker_class = "gthread"
threads = ${supersetThreads}
timeout = 120
graceful_timeout = 30
# Its heartbeats are files: on a disk they could wait for it.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
errorlog = "-"
`,
});

/** The databases to register: in the Job's script by name, with the names of the variables that hold their passwords. */
export function databases({ trino, clickhouse, postgresql }: Sources) {
  const entry = (
    name: string,
    driver: string,
    { host, port }: { host: string; port: number },
    database: string,
    login: { username?: string; usernameFrom?: string; passwordFrom?: string },
    extra: object = {},
  ) => ({ name, driver, host, port, database, ...login, extra });
  const list = [
    // Its other catalogs are a choice in SQL Lab.
    trino && entry("Trino", "trino", trino, "iceberg", { username: "superset" }, { allow_multi_catalog: true }),
    clickhouse &&
      entry("ClickHouse", "clickhousedb", clickhouse, clickhouse.database, {
        usernameFrom: "CLICKHOUSE_USERNAME",
        passwordFrom: "CLICKHOUSE_PASSWORD",
      }),
    entry("PostgreSQL", "postgresql+psycopg2", postgresql, postgresql.database, {
      usernameFrom: "POSTGRESQL_USERNAME",
      passwordFrom: "POSTGRESQL_PASSWORD",
    }),
  ];
  return list.filter((one) => one !== undefined);
}

export const credentialsOfSources = ({ clickhouse, postgresql }: Sources): Record<string, SecretKey> => ({
  POSTGRESQL_USERNAME: postgresql.username,
  POSTGRESQL_PASSWORD: postgresql.password,
  ...(clickhouse && { CLICKHOUSE_USERNAME: clickhouse.username, CLICKHOUSE_PASSWORD: clickhouse.password }),
});

/**
 * What the Job does after the migrations, within Superset's own application: by its command line the passwords would
 * be arguments, which every process can read. It may run any number of times.
 */
export const setUp = (sources: Sources) => ({
  "databases.json": JSON.stringify(databases(sources), null, 2),
  "setup.py": `import json
import os
import uuid

from sqlalchemy.engine import URL
from werkzeug.security import check_password_hash

from superset.app import create_app

app = create_app()
with app.app_context():
    from superset import db, security_manager
    from superset.commands.database.utils import add_permissions
    from superset.models.core import Database

    # The administrator, whose password is the Secret's, also where it was changed by hand.
    password = os.environ["ADMIN_PASSWORD"]
    admin = security_manager.find_user("admin")
    if admin is None:
        role = security_manager.find_role("Admin")
        made = security_manager.add_user("admin", "Data", "Platform", "admin@localhost", role, password=password)
        if not made:
            raise SystemExit("the user admin could not be made: see above")
        print("admin: made")
    elif not check_password_hash(admin.password, password):
        security_manager.reset_password(admin.id, password)
        print("admin: has a new password")

    # Each database has an identity of its own, so that it may be renamed; the name counts where someone else made it.
    for entry in json.load(open("/etc/superset/databases.json")):
        name = entry["name"]
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"data-platform/superset/{name}")
        find = db.session.query(Database).filter_by
        database = find(uuid=identity).first() or find(database_name=name).first()
        url = URL.create(
            entry["driver"],
            username=entry.get("username") or os.environ[entry["usernameFrom"]],
            password=os.environ[entry["passwordFrom"]] if "passwordFrom" in entry else None,
            host=entry["host"],
            port=entry["port"],
            database=entry["database"],
        )
        text = url.render_as_string(hide_password=False)
        if database is None:
            # What users may set otherwise later is said here alone: how it is queried, and by whom.
            database = Database(
                database_name=name,
                uuid=identity,
                expose_in_sqllab=True,
                allow_run_async=True,
                extra=json.dumps(entry["extra"]),
            )
            database.set_sqlalchemy_uri(text)
            db.session.add(database)
            print(f"{name}: registered")
        elif database.sqlalchemy_uri_decrypted != text:
            database.set_sqlalchemy_uri(text)
            print(f"{name}: has a new address or password")
        db.session.commit()
        # One permission for each schema that is there now, for roles that may see some of them.
        try:
            add_permissions(database)
            db.session.commit()
        except Exception as problem:
            db.session.rollback()
            print(f"{name}: its schemas could not be listed ({type(problem).__name__}); it is registered all the same")
`,
});
