import { either, itemsWhen, joined, when } from "../../config/derived.ts";
import type {
  ClickhouseConnection,
  RedisConnection,
  SqlConnection,
  StatsdConnection,
  TrinoConnection,
} from "../kit/connection.ts";
import { checkedPythonPassword } from "../kit/password.ts";
import type { SecretKey } from "../kit/secret.ts";
import { setUpScript } from "../kit/set-up.ts";
import { supersetThreads } from "../postgresql/connections.ts";

/*
 * Superset's configuration files and scripts. User names and passwords come from the environment; `os.environ[…]` ends
 * a process that lacks one.
 */

export const port = 8088;

/** The databases to register. Trino and ClickHouse: if the stack has them. */
export interface Sources {
  trino?: TrinoConnection | undefined;
  clickhouse?: ClickhouseConnection | undefined;
  postgresql: SqlConnection;
}

interface Stores {
  database: SqlConnection;
  cache: RedisConnection;
  queue: RedisConnection;
}

/** The secrets of every process. */
export const credentialsOf = ({ database, cache, queue }: Stores, secretKey: SecretKey): Record<string, SecretKey> => ({
  SUPERSET_SECRET_KEY: secretKey,
  DATABASE_USERNAME: database.username,
  DATABASE_PASSWORD: database.password,
  CACHE_PASSWORD: cache.password,
  QUEUE_PASSWORD: queue.password,
});

/**
 * `superset_config.py` and the modules beside it. A key that is not set here has Superset's default. `own`: the stack's
 * lines, which come last.
 */
export const settings = (
  { database, cache, queue }: Stores,
  own: string,
  statsd: StatsdConnection | undefined,
  page: string,
) => ({
  "superset_config.py": `import hashlib
import os
from pathlib import Path
from urllib.parse import quote

from cachelib.redis import RedisCache
from celery.schedules import crontab
from celery.signals import after_task_publish
${either(
  statsd,
  () => "from statsd import StatsClient\nfrom superset.stats_logger import StatsdStatsLogger\n",
  () => "",
)}

def secret(name):
    # A line end after it is none of the password.
    return os.environ[name].rstrip("\\n")


def quoted(name):
    return quote(secret(name), safe="")


def derived(use):
    """A key of its own for each use, which changes only with the one they are made of."""
    return hashlib.sha256(f"{use}:{SECRET_KEY}".encode()).hexdigest()


SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
GUEST_TOKEN_JWT_SECRET = derived("guest tokens")
GLOBAL_ASYNC_QUERIES_JWT_SECRET = derived("asynchronous queries")

SQLALCHEMY_DATABASE_URI = (
    f"postgresql+psycopg2://{quoted('DATABASE_USERNAME')}:{quoted('DATABASE_PASSWORD')}"
    "@${database.host}:${database.port}/${database.database}"
)
# A server that was restarted has closed the connections that wait here.
SQLALCHEMY_ENGINE_OPTIONS = {"pool_pre_ping": True}

CACHE_REDIS_URL = f"redis://${cache.username ?? ""}:{quoted('CACHE_PASSWORD')}@${cache.host}:${cache.port}/${cache.database}"
QUEUE_REDIS_URL = f"redis://${queue.username ?? ""}:{quoted('QUEUE_PASSWORD')}@${queue.host}:${queue.port}/${queue.database}"


def cached(prefix, seconds):
    return {
        "CACHE_TYPE": "expiring.RedisCache",
        "CACHE_REDIS_URL": CACHE_REDIS_URL,
        "CACHE_KEY_PREFIX": f"superset_{prefix}_",
        "CACHE_DEFAULT_TIMEOUT": seconds,
    }


HOUR, DAY = 3600, 86400


class Expiring:
    """Gives every cache entry an end, also where a chart's settings ask for none (a timeout of 0).

    The cache shares Redis with queues. A full Redis evicts only keys that expire, so these must.
    """

    LONGEST = 90 * DAY

    def _normalize_timeout(self, timeout):
        seconds = super()._normalize_timeout(timeout)
        return seconds if 0 < seconds < self.LONGEST else self.LONGEST


class Results(Expiring, RedisCache):
    """What a worker found for SQL Lab, until the browser fetches it."""


CACHE_DEFAULT_TIMEOUT = HOUR
CACHE_CONFIG = cached("metadata", DAY)
DATA_CACHE_CONFIG = cached("data", HOUR)
THUMBNAIL_CACHE_CONFIG = cached("thumbnail", DAY)
FILTER_STATE_CACHE_CONFIG = cached("filter", 90 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
EXPLORE_FORM_DATA_CACHE_CONFIG = cached("explore", 7 * DAY) | {"REFRESH_TIMEOUT_ON_RETRIEVAL": True}
RESULTS_BACKEND = Results(
    host="${cache.host}",
    port=${cache.port},
    db=${cache.database},
${cache.username ? `    username="${cache.username}",\n` : ""}    password=secret("CACHE_PASSWORD"),
    key_prefix="superset_results_",
)
SQL_MAX_ROW = 50_000
SQLLAB_PAYLOAD_MAX_MB = 16

${either(
  statsd,
  (found) => `${statsLogger(found)}\n\n`,
  () => "",
)}# Counted in one place, however many processes answer.
RATELIMIT_ENABLED = True
RATELIMIT_STORAGE_URI = CACHE_REDIS_URL

${cookies(page)}
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
${own && `\n\n# The stack's own settings.\n${own.trimEnd()}\n`}`,
  // Not in superset_config.py, because the probe below imports that, and Flask's cache is slow to import.
  "expiring.py": `from flask_caching.backends.rediscache import RedisCache as FlaskRedisCache
from superset_config import Expiring


class RedisCache(Expiring, FlaskRedisCache):
    """Flask's cache in Redis. Each of its entries expires."""
`,
  // Celery's own `inspect ping` would load all of Superset: ten times the CPU.
  "ping.py": `"""Succeeds when this pod's worker answers over the queue."""
import socket
import sys

from celery import Celery
from superset_config import QUEUE_REDIS_URL

worker = f"worker@{socket.gethostname()}"
sys.exit(not Celery(broker=QUEUE_REDIS_URL).control.inspect([worker], timeout=10).ping())
`,
  ...setUpScript,
});

const cookies = (page: string) =>
  either(
    page,
    () => `# Behind the front door: scheme, host and client are in X-Forwarded-*.
ENABLE_PROXY_FIX = True
PREFERRED_URL_SCHEME = "https"
WEBDRIVER_BASEURL_USER_FRIENDLY = "${page}/"

# A login ends with the browser's session or after twelve hours without a request. Browsers send it by HTTPS alone.
SESSION_COOKIE_SECURE = True`,
    () => `# A login ends with the browser's session or after twelve hours without a request. Plain HTTP is what the Service
# speaks, so the cookie cannot be for HTTPS alone.`,
  );

/** The client resolves IPv4 addresses unless `ipv6` is set, and without an address Superset does not start. */
const statsLogger = ({ host, port }: StatsdConnection) =>
  `STATS_LOGGER = StatsdStatsLogger(
    statsd_client=StatsClient("${host}", ${port}, prefix="superset", ipv6=":" in os.environ["POD_IP"])
)`;

/** gunicorn's configuration file. */
export const server = (processes: number) => ({
  "gunicorn.conf.py": `import os

# One socket for both families, where the kernel has IPv6.
bind = "[::]:${port}" if os.path.exists("/proc/net/if_inet6") else "0.0.0.0:${port}"
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

/** The entries of `databases.json`, each in JSON, with the names of the variables that hold user names and passwords. */
export function databases({ trino, clickhouse, postgresql }: Sources) {
  const entry = (
    name: string,
    driver: string,
    { host, port }: { host: string; port: number },
    database: string,
    login: { username?: string; usernameFrom?: string; passwordFrom?: string },
    extra: object = {},
  ) => JSON.stringify({ name, driver, host, port, database, ...login, extra }, null, 2).replaceAll("\n", "\n  ");
  return [
    // Users choose another catalog in SQL Lab.
    ...itemsWhen(trino, (source) => [
      entry("Trino", "trino", source, "iceberg", { username: "superset" }, { allow_multi_catalog: true }),
    ]),
    ...itemsWhen(clickhouse, (source) => [
      entry("ClickHouse", "clickhousedb", source, source.database, {
        usernameFrom: "CLICKHOUSE_USERNAME",
        passwordFrom: "CLICKHOUSE_PASSWORD",
      }),
    ]),
    entry("PostgreSQL", "postgresql+psycopg2", postgresql, postgresql.database, {
      usernameFrom: "POSTGRESQL_USERNAME",
      passwordFrom: "POSTGRESQL_PASSWORD",
    }),
  ];
}

export const credentialsOfSources = ({ clickhouse, postgresql }: Sources): Record<string, SecretKey> => ({
  POSTGRESQL_USERNAME: postgresql.username,
  POSTGRESQL_PASSWORD: postgresql.password,
  ...when(clickhouse, ({ username, password }) => ({ CLICKHOUSE_USERNAME: username, CLICKHOUSE_PASSWORD: password })),
});

/**
 * Writes the user `admin` from inside Superset's application: on its command line the password would be an argument,
 * which every process can read. Idempotent.
 */
export const setUp = (password: SecretKey) => ({
  "setup.py": `import os

from werkzeug.security import check_password_hash

from superset.app import create_app

app = create_app()
with app.app_context():
    from superset import security_manager

    # The password is the Secret's, also where it was changed by hand.
    ${checkedPythonPassword("ADMIN_PASSWORD", password).replaceAll("\n", "\n    ")}
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
`,
});

/** Registers the databases from inside Superset's application, for the same reason. Idempotent. */
export const register = (sources: Sources) => ({
  "databases.json": `[\n  ${joined(databases(sources), ",\n  ")}\n]`,
  "register.py": `import json
import os
import uuid

from sqlalchemy.engine import URL, make_url

from superset.app import create_app

app = create_app()
with app.app_context():
    from superset import db
    from superset.commands.database.utils import add_permissions
    from superset.models.core import Database
    from superset_config import secret

    # Each database has an identity of its own, so that it may be renamed; the name counts where someone else made it.
    for entry in json.load(open("/etc/superset/databases.json")):
        name = entry["name"]
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"data-platform/superset/{name}")
        find = db.session.query(Database).filter_by
        database = find(uuid=identity).first() or find(database_name=name).first()
        url = URL.create(
            entry["driver"],
            username=entry.get("username") or secret(entry["usernameFrom"]),
            password=secret(entry["passwordFrom"]) if "passwordFrom" in entry else None,
            host=entry["host"],
            port=entry["port"],
            database=entry["database"],
        )
        # SQLAlchemy 1.4 writes a percent sign as it is, and reads it as the start of a code.
        if make_url(url.render_as_string(hide_password=False)).password != url.password:
            url = url.set(password=url.password.replace("%", "%25"))
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
            database.password = url.password
            db.session.add(database)
            print(f"{name}: registered")
        elif database.sqlalchemy_uri_decrypted != text:
            database.set_sqlalchemy_uri(text)
            database.password = url.password
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
