import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import { bytes } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { ClickhouseConnection, Endpoint } from "../kit/connection.ts";
import { shellPassword } from "../kit/password.ts";
import { configFiles, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { credentials, password, type SecretKey, type TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";

const ports = { http: 8123, native: 9000, metrics: 9363 };
/** User and group `clickhouse` of the official image. */
const user = 101;
/** The only user there is: the server's own `default`, who has no password, is left out. */
const platformUser = "platform";

/** One ClickHouse server. Its user `platform` may do everything, further users included. */
export class Clickhouse extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "metrics" }];
  readonly endpoint: Endpoint;
  readonly admin: TypedSecret<"username" | "password">;
  private readonly ready: pulumi.Resource[];

  constructor(
    name: string,
    args: { namespace: NamespaceContext; config: Config["clickhouse"] },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config } = args;
    super("Clickhouse", name, namespace, parseImage(config.image)?.tag ?? "", opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      username: platformUser,
      password: password(this, "admin", config.auth.rotation),
    }));

    const configuration = files(this, "config", {
      "config.xml": settings(config.resources.limits.memory),
      "users.xml": users(config.resources.limits.memory),
    });
    const server = stateful(this, {
      replicas: 1,
      ports,
      storage: config.storage,
      pod: {
        user,
        role: "server",
        checksums: { config: configuration.checksum, admin: this.admin.revision },
        // It lets queries end and writes what it holds in memory.
        gracePeriod: 60,
        containers: {
          clickhouse: {
            image: this.image(config.image),
            command: ["sh", "-eu", "-c", start(this.admin.key("password"))],
            env: { PASSWORD: this.admin.key("password"), HOME: "/tmp" },
            ports,
            resources: config.resources,
            mounts: { "/var/lib/clickhouse": "data", "/etc/clickhouse-server": "config", "/tmp": "tmp" },
            // The port opens when the tables are loaded.
            startup: httpProbe("/ping", "http", { every: 2, failures: 300 }),
            readiness: httpProbe("/ping", "http"),
            liveness: httpProbe("/ping", "http", lenientLiveness),
          },
        },
        volumes: { config: configFiles(configuration.name), tmp: scratch({ size: "256Mi" }) },
      },
    });

    const front = service(this, { role: "server", ports, type: config.service.type, workload: server });
    this.ready = [server, front];
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.http };
    this.registerOutputs({});
  }

  /** How to reach the HTTP interface from the component's own namespace. */
  get connection(): ClickhouseConnection {
    return {
      host: this.host(),
      port: ports.http,
      database: "default",
      username: this.admin.key("username"),
      password: this.admin.key("password"),
      revision: this.admin.revision,
      ready: this.ready,
    };
  }
}

/** ClickHouse keeps a copy of its configuration, with the environment filled in, beside the data: so only a hash. */
const start = (password: SecretKey) =>
  `
${shellPassword("PASSWORD", password)}
export PASSWORD_SHA256="$(printf %s "$PASSWORD" | sha256sum | cut -c 1-64)"
unset PASSWORD
# Every address of both families; of IPv4 where the kernel has no IPv6.
LISTEN_HOST=0.0.0.0
[ ! -e /proc/net/if_inet6 ] || LISTEN_HOST=::
export LISTEN_HOST
exec clickhouse-server --config-file=/etc/clickhouse-server/config.xml
`.trim();

const percentOf = (limit: string, percent: number) => Math.floor((bytes(limit) * percent) / 100);

const settings = (limit: string) => `<clickhouse>
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
  <!-- Nothing is told to anybody outside. -->
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
  <max_server_memory_usage>${percentOf(limit, 80)}</max_server_memory_usage>
  <!-- Within those: what finds the rows in the files, and nothing of their contents. -->
  <mark_cache_size>${percentOf(limit, 10)}</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>

  <!-- The one log that is kept as a table. The others write all the time, and nobody looks. -->
  <query_log>
    <database>system</database>
    <table>query_log</table>
    <partition_by>toYYYYMM(event_date)</partition_by>
    <ttl>event_date + INTERVAL 30 DAY DELETE</ttl>
    <flush_interval_milliseconds>7500</flush_interval_milliseconds>
  </query_log>
</clickhouse>
`;

const users = (limit: string) => `<clickhouse>
  <users>
    <${platformUser}>
      <password_sha256_hex from_env="PASSWORD_SHA256"/>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
    </${platformUser}>
  </users>
  <profiles>
    <default>
      <!-- 60 % of the memory limit, ${limit}: one query leaves room for others. -->
      <max_memory_usage>${percentOf(limit, 60)}</max_memory_usage>
      <log_queries>1</log_queries>
    </default>
  </profiles>
  <quotas><default/></quotas>
</clickhouse>
`;
