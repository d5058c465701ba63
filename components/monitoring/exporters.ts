import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { RedisConnection, SqlConnection, StatsdConnection } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { type Container, configFiles, httpProbe, lenientLiveness } from "../kit/pod.ts";
import { service } from "../kit/service.ts";

/** What those components that say nothing to Prometheus themselves are asked by. */
export class Exporters extends Component {
  override readonly metrics: Metrics[] = [];
  /** Where Airflow and Superset tell what they do. */
  readonly statsd: StatsdConnection;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["monitoring"]["exporters"];
      postgresql?: SqlConnection;
      redis?: RedisConnection;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, postgresql, redis } = args;
    super("Exporters", name, namespace, "", opts);

    /** One exporter: a program without a state, whose metrics are another's. */
    const exporter = (
      role: string,
      of: {
        image: string;
        user: number;
        port: number;
        ready?: pulumi.Resource[];
        checksums?: Record<string, pulumi.Input<string>>;
        also?: Container<never>["ports"];
        mapping?: { name: pulumi.Output<string>; checksum: string };
      } & Pick<Container<never>, "command" | "args" | "env">,
    ) => {
      const { user, port, ready, checksums, also, mapping, image, ...rest } = of;
      this.metrics.push({ role, port: "metrics" });
      return deployment<string>(this, {
        suffix: role,
        replicas: 1,
        pod: {
          user,
          role,
          checksums: { ...checksums, ...(mapping && { mapping: mapping.checksum }) },
          containers: {
            exporter: {
              ...rest,
              image: this.image(image),
              ports: { metrics: port, ...also },
              resources: config.resources,
              ...(mapping && { mounts: { "/etc/statsd": "mapping" } }),
              startup: httpProbe("/", "metrics", { every: 2, failures: 150 }),
              readiness: httpProbe("/", "metrics"),
              liveness: httpProbe("/", "metrics", lenientLiveness),
            },
          },
          volumes: mapping ? { mapping: configFiles(mapping.name) } : {},
        },
        dependsOn: ready ?? [],
      });
    };

    if (postgresql)
      exporter("postgresql", {
        image: config.postgresql,
        user: 65534,
        port: 9187,
        command: ["/bin/postgres_exporter"],
        env: {
          DATA_SOURCE_URI: `${postgresql.host}:${postgresql.port}/${postgresql.database}?sslmode=disable`,
          DATA_SOURCE_USER: postgresql.username,
          DATA_SOURCE_PASS: postgresql.password,
        },
        checksums: { password: postgresql.revision },
        ready: postgresql.ready,
      });
    if (redis)
      exporter("redis", {
        image: config.redis,
        user: 59000,
        port: 9121,
        command: ["/redis_exporter"],
        env: { REDIS_ADDR: `redis://${redis.host}:${redis.port}`, REDIS_PASSWORD: redis.password },
        checksums: { password: redis.revision },
        ready: redis.ready,
      });
    const statsd = exporter("statsd", {
      image: config.statsd,
      user: 65534,
      port: 9102,
      command: ["/bin/statsd_exporter"],
      args: ["--statsd.mapping-config=/etc/statsd/mapping.yaml"],
      also: { statsd: { udp: 9125 } },
      mapping: files(this, "statsd", { "mapping.yaml": stringify({ mappings }) }),
    });
    const front = service(this, {
      suffix: "statsd",
      role: "statsd",
      ports: { statsd: { udp: 9125 } },
      workload: statsd,
    });
    this.statsd = { host: this.host("statsd"), port: 9125, ready: [statsd, front] };
    this.registerOutputs({});
  }
}

/** Superset puts what a number belongs to into its name; here it becomes labels. Airflow has it beside the name. */
const mappings = ["success", "error"].map((result) => ({
  match: `superset.*.*.${result}`,
  name: "superset_api_calls",
  labels: { api: "$1", method: "$2", result },
}));
