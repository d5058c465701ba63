import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { whenever } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { type ConfigFiles, files } from "../kit/config.ts";
import type { RedisConnection, SqlConnection, StatsdConnection } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import type { Connects } from "../kit/network.ts";
import { type Container, configFiles, httpProbe, lenientLiveness } from "../kit/pod.ts";
import { service } from "../kit/service.ts";

/** What the exporters need from the platform. */
export interface ExportersArgs extends ComponentArgs<Config["monitoring"]["exporters"]> {
  /** Default: no exporter for PostgreSQL. */
  postgresql?: SqlConnection | undefined;
  /** Default: no exporter for Redis. */
  redis?: RedisConnection | undefined;
}

/** One exporter: a stateless server with a port `metrics`. */
type Exporter = {
  image: string;
  user: number;
  /** Of its metrics. */
  port: number;
  /** Ports beside that. */
  ports?: Container<never>["ports"];
  checksums?: Record<string, pulumi.Input<string>>;
  /** Mounted at /etc/statsd. */
  mapping?: ConfigFiles;
  /** What it reads from. Default: components send to it. */
  source?: Connects;
  dependsOn?: pulumi.Resource[];
} & Pick<Container<never>, "command" | "args" | "env">;

const statsd = { udp: 9125 };

/** Prometheus exporters for components that do not serve metrics themselves. */
export class Exporters extends Component {
  override readonly metrics: Metrics[] = [];
  /** Where Airflow and Superset send their metrics. */
  readonly statsd: StatsdConnection;

  constructor(name: string, args: ExportersArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, postgresql, redis } = args;
    super("Exporters", name, namespace, { ...config, version: "" }, opts);

    whenever(postgresql, (source) => this.postgresql(config, source));
    whenever(redis, (source) => this.redis(config, source));
    const workload = this.statsdExporter(config);
    const front = service(this, { suffix: "statsd", role: "statsd", ports: { statsd }, workload });

    this.statsd = {
      host: this.host("statsd"),
      port: statsd.udp,
      ready: [workload, front],
      ...this.serves("statsd", ["statsd"]),
    };
    this.registerOutputs({});
  }

  private postgresql(config: ExportersArgs["config"], source: SqlConnection) {
    const { host, port, database, username, password, revision, ready } = source;
    return this.exporter("postgresql", config, {
      image: config.postgresql,
      user: 65534,
      port: 9187,
      command: ["/bin/postgres_exporter"],
      env: {
        DATA_SOURCE_URI: `${host}:${port}/${database}?sslmode=disable`,
        DATA_SOURCE_USER: username,
        DATA_SOURCE_PASS: password,
      },
      checksums: { password: revision },
      source,
      dependsOn: ready,
    });
  }

  private redis(config: ExportersArgs["config"], source: RedisConnection) {
    const { host, port, username, password, revision, ready } = source;
    return this.exporter("redis", config, {
      image: config.redis,
      user: 59000,
      port: 9121,
      command: ["/redis_exporter"],
      source,
      env: {
        REDIS_ADDR: `redis://${host}:${port}`,
        ...(username && { REDIS_USER: username }),
        REDIS_PASSWORD: password,
      },
      checksums: { password: revision },
      dependsOn: ready,
    });
  }

  private statsdExporter(config: ExportersArgs["config"]) {
    return this.exporter("statsd", config, {
      image: config.statsd,
      user: 65534,
      port: 9102,
      ports: { statsd },
      command: ["/bin/statsd_exporter"],
      args: ["--statsd.mapping-config=/etc/statsd/mapping.yaml"],
      mapping: files(this, "statsd", { "mapping.yaml": stringify({ mappings }) }),
    });
  }

  private exporter(role: string, { resources }: ExportersArgs["config"], exporter: Exporter) {
    const { user, port, ports, checksums, mapping, image, source, dependsOn = [], ...container } = exporter;
    this.metrics.push({ role, port: "metrics", source: source ?? true });
    return deployment<string>(this, {
      suffix: role,
      replicas: 1,
      pod: {
        user,
        role,
        connects: [source],
        checksums: { ...checksums, ...(mapping && { mapping: mapping.checksum }) },
        containers: {
          exporter: {
            ...container,
            image: this.image(image),
            ports: { metrics: port, ...ports },
            resources,
            ...(mapping && { mounts: { "/etc/statsd": "mapping" } }),
            startup: httpProbe("/", "metrics", { every: 2, failures: 150 }),
            readiness: httpProbe("/", "metrics"),
            liveness: httpProbe("/", "metrics", lenientLiveness),
          },
        },
        volumes: mapping ? { mapping: configFiles(mapping.name) } : {},
      },
      dependsOn,
    });
  }
}

/** Superset writes API, method and result into the metric's name: these become labels. Airflow sends tags. */
const mappings = ["success", "error"].map((result) => ({
  match: `superset.*.*.${result}`,
  name: "superset_api_calls",
  labels: { api: "$1", method: "$2", result },
}));
