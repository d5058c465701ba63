import { bytesOf } from "../../config/quantity.ts";
import { shellPassword } from "../kit/password.ts";
import type { SecretKey } from "../kit/secret.ts";
import type { Element } from "./schema.ts";

/*
 * ClickHouse's configuration files and the script of its pod. Pure functions.
 */

export const ports = { http: 8123, native: 9000, metrics: 9363 };
/** The only user in the configuration. It replaces the server's `default`, which has no password. */
export const platformUser = "platform";

/**
 * Clients with a user of their own, with what it may do. None creates users, stops the server or reads files of it.
 * Superset's charts and queries only read; Trino's catalog writes too.
 */
export const clients = {
  trino: "SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP, TRUNCATE, OPTIMIZE, SHOW",
  superset: "SELECT, SHOW",
} as const;
export type Client = keyof typeof clients;
/** The variable with the password of a client's user. */
export const passwordVariable = (client: Client): string => `PASSWORD_${client.toUpperCase()}`;

/** Shell: replaces a password by its hash. */
const hashed = (variable: string, hash: string) =>
  `
export ${hash}="$(printf %s "$${variable}" | sha256sum | cut -c 1-64)"
unset ${variable}`.trim();

/**
 * Replaces passwords by their hashes: ClickHouse writes its configuration, environment substituted, next to the data.
 */
export const startScript = (password: SecretKey, users: readonly Client[]) =>
  `
${shellPassword("PASSWORD", password)}
${[hashed("PASSWORD", "PASSWORD_SHA256"), ...users.map((one) => hashed(passwordVariable(one), `${passwordVariable(one)}_SHA256`))].join("\n")}
# Every address of both families; of IPv4 where the kernel has no IPv6.
LISTEN_HOST=0.0.0.0
[ ! -e /proc/net/if_inet6 ] || LISTEN_HOST=::
export LISTEN_HOST
exec clickhouse-server --config-file=/etc/clickhouse-server/config.xml
`.trim();

/** `config.xml`: the server. Sizes follow the container's memory limit. */
export const settings = (limit: string) => `<clickhouse>
  <logger>
    <level>information</level>
    <console>1</console>
  </logger>
  <listen_host from_env="LISTEN_HOST"/>
  <http_port>${ports.http}</http_port>
  <tcp_port>${ports.native}</tcp_port>
  <prometheus>
    <endpoint>/metrics</endpoint>
    <port>${ports.metrics}</port>
    <metrics>true</metrics>
    <events>true</events>
    <asynchronous_metrics>true</asynchronous_metrics>
  </prometheus>
  <!-- No crash reports to ClickHouse's vendor. -->
  <send_crash_reports><enabled>false</enabled></send_crash_reports>

  <path>/var/lib/clickhouse/</path>
  <tmp_path>/var/lib/clickhouse/tmp/</tmp_path>
  <user_files_path>/var/lib/clickhouse/user_files/</user_files_path>
  <format_schema_path>/var/lib/clickhouse/format_schemas/</format_schema_path>
  <users_config>users.xml</users_config>
  <!-- Users and roles that were made by SQL. -->
  <access_control_path>/var/lib/clickhouse/access/</access_control_path>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>

  <!-- 80 % of the memory limit, ${limit}: past it a query is refused, and the container is not killed. -->
  <max_server_memory_usage>${bytesOf(limit, 80)}</max_server_memory_usage>
  <!-- Within those: what finds the rows in the files, and nothing of their contents. -->
  <mark_cache_size>${bytesOf(limit, 10)}</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>

  <!-- The only log table. The others would write all the time. -->
  <query_log>
    <database>system</database>
    <table>query_log</table>
    <partition_by>toYYYYMM(event_date)</partition_by>
    <ttl>event_date + INTERVAL 30 DAY DELETE</ttl>
    <flush_interval_milliseconds>7500</flush_interval_milliseconds>
  </query_log>
</clickhouse>
`;

const clientUser = (client: Client) => `
    <${client}>
      <password_sha256_hex from_env="${passwordVariable(client)}_SHA256"/>
      <networks><ip>::/0</ip></networks>
      <profile>${client}</profile>
      <quota>default</quota>
      <access_management>0</access_management>
      <grants><query>GRANT ${clients[client]} ON *.*</query></grants>
    </${client}>`;

/**
 * Settings of a client's user. `readonly` 2 allows reading and other settings, which drivers send. Servers that are too
 * old for grants know it too.
 */
const clientProfile = (client: Client) => `
    <${client}><profile>default</profile>${client === "superset" ? "<readonly>2</readonly>" : ""}</${client}>`;

/** `users.xml`: the platform's user, those of clients, and the limits of a query. */
export const users = (limit: string, own: readonly Client[]) => `<clickhouse>
  <users>
    <${platformUser}>
      <password_sha256_hex from_env="PASSWORD_SHA256"/>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
    </${platformUser}>${own.map(clientUser).join("")}
  </users>
  <profiles>
    <default>
      <!-- 60 % of the memory limit, ${limit}: one query leaves room for others. -->
      <max_memory_usage>${bytesOf(limit, 60)}</max_memory_usage>
      <log_queries>1</log_queries>
    </default>${own.map(clientProfile).join("")}
  </profiles>
  <quotas><default/></quotas>
</clickhouse>
`;

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** Elements as XML, which ClickHouse of every version reads, and merges into its own file. */
export function xml(elements: Record<string, Element>): string {
  const write = (name: string, element: Element, indent: string): string => {
    if (Array.isArray(element)) return element.map((one) => write(name, one, indent)).join("");
    if (element === null || typeof element !== "object")
      return `${indent}<${name}>${escaped(String(element ?? ""))}</${name}>\n`;
    const entries = Object.entries(element);
    const attributes = entries
      .filter(([key]) => key.startsWith("@"))
      .map(([key, value]) => ` ${key.slice(1)}="${escaped(String(value))}"`)
      .join("");
    const text = element["#text"] === undefined ? "" : escaped(String(element["#text"]));
    const inner = entries.filter(([key]) => !/^[@#]/.test(key)).map(([key, value]) => write(key, value, `${indent}  `));
    return inner.length > 0
      ? `${indent}<${name}${attributes}>${text}\n${inner.join("")}${indent}</${name}>\n`
      : `${indent}<${name}${attributes}>${text}</${name}>\n`;
  };
  return write("clickhouse", elements, "");
}
