import { derived } from "../../config/derived.ts";
import { bytes, mebibytes, mebibytesPart } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import { shellPassword } from "../kit/password.ts";
import type { SecretKey } from "../kit/secret.ts";
import { type Notation, withSettings } from "../kit/settings.ts";
import { postgresqlMajor } from "./schema.ts";

/*
 * PostgreSQL's configuration files and the scripts of its pods. Pure functions.
 */

export const port = 5432;
export const superuser = "postgres";

/**
 * Paths of an image: its programs, the volume's mount, the data directory. Version 18 moved the mount one directory up.
 */
export const layout = (image: string): { bin: string; mount: string; data: string } => ({
  bin: layoutOf(image, "bin"),
  mount: layoutOf(image, "mount"),
  data: layoutOf(image, "data"),
});

const layoutOf = derived(
  "postgresqlLayout",
  (image: string, of: keyof ReturnType<typeof layoutOfImage>) => layoutOfImage(image)[of],
);

function layoutOfImage(image: string) {
  const major = postgresqlMajor(image);
  if (major === undefined)
    throw new Error(`postgresql.image: found ${image}; expected a tag with a known major version`);
  const bin = `/usr/lib/postgresql/${major}/bin`;
  return major >= 18
    ? { bin, mount: "/var/lib/postgresql", data: `/var/lib/postgresql/${major}/docker` }
    : { bin, mount: "/var/lib/postgresql/data", data: "/var/lib/postgresql/data/pgdata" };
}

/**
 * Size of the write-ahead log on a volume, in mebibytes: `max_wal_size` and `min_wal_size`. PostgreSQL's defaults, 1024
 * and 80, but at most an eighth of the volume and half of that: the log must not fill a volume below 8 GiB.
 */
export const logSizes = (volume: string): { most: number; least: number } => ({
  most: mostLog(volume),
  least: leastLog(volume),
});

const sizeOfLog = (volume: string) => Math.min(1024, Math.floor(mebibytes(bytes(volume)) / 8));
const mostLog = derived("mostLog", sizeOfLog);
const leastLog = derived("leastLog", (volume: string) => Math.min(80, Math.floor(sizeOfLog(volume) / 2)));

/** Quotes every value: PostgreSQL reads numbers and sizes in quotes too. */
const notation: Notation = { between: " = ", quotes: "doubled" };

/** The server's configuration files. Sizes follow the container's memory limit and the volume. */
export function settings({ maxConnections, resources, storage, settings: own }: Config["postgresql"]) {
  const log = logSizes(storage.size);
  const memory = resources.limits.memory;
  return {
    "postgresql.conf": withSettings(
      `# Sizes follow postgresql.resources.limits.memory (${resources.limits.memory}).
listen_addresses = '*'
port = ${port}
max_connections = ${maxConnections}
hba_file = '/etc/postgresql/pg_hba.conf'
unix_socket_directories = '/var/run/postgresql'
password_encryption = 'scram-sha-256'
# A quarter of the memory, as PostgreSQL's manual advises; the rest is for connections and the page cache.
shared_buffers = ${mebibytesPart(memory, 4)}MB
effective_cache_size = ${mebibytesPart(memory, 2)}MB
maintenance_work_mem = ${mebibytesPart(memory, 16)}MB
# Follow postgresql.storage.size (${storage.size}).
max_wal_size = ${log.most}MB
min_wal_size = ${log.least}MB
log_destination = 'stderr'
logging_collector = off
log_timezone = 'UTC'
timezone = 'UTC'
`,
      own,
      notation,
    ),
    "pg_hba.conf": `# The pod's own socket, as the user the server runs as; everyone else by password.
local all ${superuser} peer
host  all all all scram-sha-256
`,
  };
}

/**
 * Init container: creates the data directory if it is missing, refuses one of another major version, and sets the
 * superuser's password to the Secret's. Single-user mode needs no old password, so a rotation works here alone.
 */
export const prepareScript = (password: SecretKey) =>
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

/** Job: creates each user with its database and password, and no other right. Idempotent. */
export const createUsersScript = (password: SecretKey) =>
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

/** What the Job does after that: creates extensions, each in its database. It removes none. */
export const createExtensionsScript = `
for wanted in $EXTENSIONS; do
  sql --dbname="\${wanted%%:*}" --set name="\${wanted#*:}" <<'SQL'
CREATE EXTENSION IF NOT EXISTS :"name" CASCADE;
SQL
  echo "\${wanted%%:*} has the extension \${wanted#*:}"
done
`.trim();
