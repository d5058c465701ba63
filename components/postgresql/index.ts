import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import { bytes, mebibytes } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, SqlConnection } from "../kit/connection.ts";
import { runOnce } from "../kit/job.ts";
import { shellPassword } from "../kit/password.ts";
import { configFiles, execProbe, lenientLiveness, limitedAs, scratch, secretFiles } from "../kit/pod.ts";
import { credentials, password, type SecretKey, TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { postgresqlMajor } from "./schema.ts";

const port = 5432;
/** User and group `postgres` of the official image. */
const user = 999;
const superuser = "postgres";
/** Who may read the statistics of all databases, and no table. */
const monitor = "monitoring";

/**
 * One PostgreSQL server with a database and a user of its own for everyone who asks for one.
 * `D` are the names of those databases: a connection to another does not compile.
 */
export class Postgresql<D extends string> extends Component {
  readonly endpoint: Endpoint;
  /** The superuser's password, under the key `password`. */
  readonly admin: TypedSecret<"password">;
  private readonly usersMade: pulumi.Resource;
  private readonly users: Map<string, TypedSecret<"username" | "password">>;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["postgresql"];
      databases: readonly D[];
      /** Whether there is a user that may see what the server does. */
      monitor?: boolean;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config } = args;
    super("Postgresql", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    const { rotation } = config.auth;

    this.admin = credentials(this, "admin", config.auth, () => ({ password: password(this, "admin", rotation) }));
    this.users = new Map(
      [...new Set<string>([...args.databases, ...(args.monitor ? [monitor] : []), ...config.databases])].map(
        (database) => {
          const suffix = `user-${database.replaceAll("_", "-")}`;
          const values = { username: database, password: password(this, suffix, rotation) };
          return [database, TypedSecret.create(this, suffix, values)];
        },
      ),
    );

    const configuration = files(this, "config", settings(config));

    const { bin, mount, data } = layout(config.image);
    const image = this.image(config.image);
    const adminPassword = secretFiles({ password: this.admin.key("password") });
    const server = stateful(this, {
      replicas: 1,
      ports: { postgresql: port },
      storage: config.storage,
      pod: {
        user,
        role: "server",
        // What the server reads only at its start; it learns the superuser's password there too.
        checksums: { config: configuration.checksum, admin: this.admin.revision },
        // A fast shutdown writes a checkpoint; one of a busy server takes longer than Kubernetes' 30 s.
        gracePeriod: 120,
        init: {
          prepare: {
            image,
            command: ["sh", "-eu", "-c", prepare(this.admin.key("password"))],
            env: { BIN: bin, PGDATA: data, MOUNT: mount },
            resources: config.resources,
            mounts: { [mount]: "data", "/run/admin": "admin", "/dev/shm": "shm", "/tmp": "tmp" },
          },
        },
        containers: {
          postgresql: {
            image,
            command: [`${bin}/postgres`, "-D", data],
            args: ["-c", "config_file=/etc/postgresql/postgresql.conf"],
            ports: { postgresql: port },
            resources: config.resources,
            mounts: {
              [mount]: "data",
              "/etc/postgresql": "config",
              "/var/run/postgresql": "run",
              "/dev/shm": "shm",
              "/tmp": "tmp",
            },
            // Recovery after a crash reads all of the log since the last checkpoint: up to ten minutes.
            startup: execProbe([`${bin}/pg_isready`, "-q", "-h", "127.0.0.1"], { every: 2, failures: 300 }),
            readiness: execProbe([`${bin}/pg_isready`, "-q", "-h", "127.0.0.1"]),
            liveness: execProbe([`${bin}/pg_isready`, "-q", "-h", "127.0.0.1"], lenientLiveness),
            // Kubernetes' SIGTERM lets PostgreSQL wait for its clients, who would stay; "fast" sends them away.
            preStop: [`${bin}/pg_ctl`, "stop", "-D", data, "-m", "fast", "-t", "110"],
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          admin: adminPassword,
          run: scratch({ size: "16Mi" }),
          // PostgreSQL's parallel queries share memory here; a container's own 64 MiB are too few.
          shm: scratch({ size: "256Mi", memory: true }),
          tmp: scratch({ size: "64Mi" }),
        },
      },
    });

    const front = service(this, {
      role: "server",
      ports: { postgresql: port },
      type: config.service.type,
      workload: server,
    });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port };

    this.usersMade = runOnce(
      this,
      "users",
      {
        user,
        checksums: Object.fromEntries([
          ["admin", this.admin.revision],
          ...[...this.users].map(([database, secret]) => [database, secret.revision]),
        ]),
        containers: {
          psql: {
            image,
            command: ["sh", "-eu", "-c", createUsers(this.admin.key("password"))],
            env: {
              PGHOST: this.host(),
              PGUSER: superuser,
              PGPASSWORD: this.admin.key("password"),
              PGDATABASE: "postgres",
              DATABASES: [...this.users.keys()].join(" "),
              ...(args.monitor && { MONITOR: monitor }),
            },
            resources: limitedAs(config.resources, {
              requests: { cpu: "10m", memory: "32Mi" },
              limits: { memory: "64Mi" },
            }),
            mounts: { "/run/users": "users", "/tmp": "tmp" },
          },
        },
        volumes: {
          users: secretFiles(
            Object.fromEntries(
              [...this.users].map(([database, secret]): [string, SecretKey] => [database, secret.key("password")]),
            ),
          ),
          tmp: scratch({ size: "16Mi" }),
        },
      },
      { dependsOn: [server, front] },
    );
    this.registerOutputs({});
  }

  /** How to reach a database as its own user, from `namespace`. */
  database(database: D, namespace: NamespaceContext): SqlConnection {
    return this.connection(database, namespace);
  }

  /** How to look at what the server does. */
  monitor(namespace: NamespaceContext): SqlConnection {
    return this.connection(monitor, namespace);
  }

  private connection(database: string, namespace: NamespaceContext): SqlConnection {
    const secret = this.users.get(database)!.in(namespace);
    return {
      host: this.host(),
      port,
      database,
      username: secret.key("username"),
      password: secret.key("password"),
      revision: secret.revision,
      ready: [this.usersMade],
    };
  }
}

/** Where a major version keeps its programs and data. 18 moved the volume one directory up. */
function layout(image: string): { bin: string; mount: string; data: string } {
  const major = postgresqlMajor(image)!;
  const bin = `/usr/lib/postgresql/${major}/bin`;
  return major >= 18
    ? { bin, mount: "/var/lib/postgresql", data: `/var/lib/postgresql/${major}/docker` }
    : { bin, mount: "/var/lib/postgresql/data", data: "/var/lib/postgresql/data/pgdata" };
}

/**
 * Mebibytes of write-ahead log on a volume: PostgreSQL's own 1 GiB between two checkpoints and 80 MiB kept for later, or
 * of a volume below 8 GiB an eighth and half of that, so that the log never fills what the tables need.
 */
export function logSizes(volume: string): { most: number; least: number } {
  const most = Math.min(1024, Math.floor(mebibytes(bytes(volume)) / 8));
  return { most, least: Math.min(80, Math.floor(most / 2)) };
}

/** The server's own configuration files, sized by the memory its container may use and by its volume. */
function settings({ maxConnections, resources, storage }: Config["postgresql"]) {
  const log = logSizes(storage.size);
  const memory = bytes(resources.limits.memory);
  return {
    "postgresql.conf": `# Sizes follow postgresql.resources.limits.memory (${resources.limits.memory}).
listen_addresses = '*'
port = ${port}
max_connections = ${maxConnections}
hba_file = '/etc/postgresql/pg_hba.conf'
unix_socket_directories = '/var/run/postgresql'
password_encryption = 'scram-sha-256'
# A quarter of the memory, as PostgreSQL's manual advises; the rest is for connections and the page cache.
shared_buffers = ${mebibytes(memory / 4)}MB
effective_cache_size = ${mebibytes(memory / 2)}MB
maintenance_work_mem = ${mebibytes(memory / 16)}MB
# Follow postgresql.storage.size (${storage.size}).
max_wal_size = ${log.most}MB
min_wal_size = ${log.least}MB
log_destination = 'stderr'
logging_collector = off
log_timezone = 'UTC'
timezone = 'UTC'
`,
    "pg_hba.conf": `# The pod's own socket, as the user the server runs as; everyone else by password.
local all ${superuser} peer
host  all all all scram-sha-256
`,
  };
}

/**
 * Before the server starts: makes the data directory where there is none, refuses one of another major version, and
 * sets the superuser's password to what the Secret says, which only someone on the volume can do without the old one.
 */
const prepare = (password: SecretKey) =>
  `
PASSWORD="$(cat /run/admin/password)"
${shellPassword("PASSWORD", password)}
for found in "$MOUNT"/PG_VERSION "$MOUNT"/*/PG_VERSION "$MOUNT"/*/*/PG_VERSION; do
  if [ -s "$found" ] && [ "$(cat "$found")" != "$("$BIN/postgres" --version | sed 's/[^0-9]*\\([0-9]*\\).*/\\1/')" ]; then
    echo "The volume holds data of PostgreSQL $(cat "$found") in $(dirname "$found"), and this image is $("$BIN/postgres" --version)." >&2
    echo "Go back to an image of that major version, or move the data as docs/postgresql.md describes." >&2
    exit 1
  fi
done
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # Made beside its place and moved there: an interrupted start leaves nothing that looks complete.
  rm -rf "$PGDATA.new"
  mkdir -p "$(dirname "$PGDATA")"
  "$BIN/initdb" -D "$PGDATA.new" -U ${superuser} --pwfile=/run/admin/password --auth=scram-sha-256 \\
    --encoding=UTF8 --locale=C.UTF-8 --data-checksums
  mv "$PGDATA.new" "$PGDATA"
fi
printf "ALTER ROLE ${superuser} PASSWORD '%s'\\n" "$(printf %s "$PASSWORD" | sed "s/'/''/g")" |
  "$BIN/postgres" --single -D "$PGDATA" -c password_encryption=scram-sha-256 postgres >/dev/null
`.trim();

/** Gives each user its database, its password and nothing else. It may run any number of times. */
const createUsers = (password: SecretKey) =>
  `
${shellPassword("PGPASSWORD", password)}
until pg_isready -q; do echo "waiting for $PGHOST"; sleep 1; done
sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }
sql <<'SQL'
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
SQL
for name in $DATABASES; do
  NEW_PASSWORD="$(cat "/run/users/$name")" sql --set name="$name" <<'SQL'
-- A statement that fails is logged, and these hold passwords.
SET log_min_error_statement = panic;
\\getenv password NEW_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \\gexec
ALTER ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
SELECT format('CREATE DATABASE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec
ALTER DATABASE :"name" OWNER TO :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
  echo "$name has its user, database and password"
done
if [ -n "\${MONITOR:-}" ]; then sql --set name="$MONITOR" <<'SQL'
GRANT pg_monitor TO :"name";
SQL
fi
`.trim();
