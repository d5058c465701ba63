import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { ClickhouseConnection, Endpoint } from "../kit/connection.ts";
import { configFiles, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { credentials, password, type TypedSecret } from "../kit/secret.ts";
import { endpoint, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { platformUser, ports, settings, startScript, users } from "./manifests.ts";

/** User and group `clickhouse` of the official image. */
const user = 101;

export interface ClickhouseArgs extends ComponentArgs<Config["clickhouse"]> {}

/** One ClickHouse server. Its user `platform` has all rights, access management included. */
export class Clickhouse extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "metrics" }];
  readonly endpoint: Endpoint;
  /** The user `platform`. */
  readonly admin: TypedSecret<"username" | "password">;
  private readonly ready: pulumi.Resource[];

  constructor(name: string, { namespace, config }: ClickhouseArgs, opts?: pulumi.ComponentResourceOptions) {
    super("Clickhouse", name, namespace, config, opts);
    this.admin = credentials(this, "admin", config.auth, () => ({
      username: platformUser,
      password: password(this, "admin", config.auth.rotation),
    }));
    const server = this.server(config);
    const front = service(this, { role: "server", ports, type: config.service.type, workload: server });
    this.ready = [server, front];
    this.endpoint = endpoint(this, ports.http);
    this.registerOutputs({});
  }

  /** Connection to the HTTP interface, for pods in the component's own namespace. */
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

  private server({ image, resources, storage }: Config["clickhouse"]) {
    const configuration = files(this, "config", {
      "config.xml": settings(resources.limits.memory),
      "users.xml": users(resources.limits.memory),
    });
    const adminPassword = this.admin.key("password");
    return stateful(this, {
      replicas: 1,
      ports,
      storage,
      pod: {
        user,
        role: "server",
        checksums: { config: configuration.checksum, admin: this.admin.revision },
        // On SIGTERM the server waits for its queries and flushes its buffers.
        gracePeriod: 60,
        containers: {
          clickhouse: {
            image: this.image(image),
            command: ["sh", "-eu", "-c", startScript(adminPassword)],
            env: { PASSWORD: adminPassword, HOME: "/tmp" },
            ports,
            resources,
            mounts: { "/var/lib/clickhouse": "data", "/etc/clickhouse-server": "config", "/tmp": "tmp" },
            // The port opens after the tables are loaded.
            startup: httpProbe("/ping", "http", { every: 2, failures: 300 }),
            readiness: httpProbe("/ping", "http"),
            liveness: httpProbe("/ping", "http", lenientLiveness),
          },
        },
        volumes: { config: configFiles(configuration.name), tmp: scratch({ size: "256Mi" }) },
      },
    });
  }
}
