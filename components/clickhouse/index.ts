import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { ClickhouseConnection, Endpoint } from "../kit/connection.ts";
import { configFiles, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { credentials, password, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import {
  type Client,
  clients,
  passwordVariable,
  platformUser,
  ports,
  settings,
  startScript,
  users,
  xml,
} from "./manifests.ts";

/** User and group `clickhouse` of the official image. */
const user = 101;

export interface ClickhouseArgs extends ComponentArgs<Config["clickhouse"]> {}

/**
 * One ClickHouse server. Its user `platform` has all rights, access management included. With `global.separateUsers` each
 * client has a user without these.
 */
export class Clickhouse extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "metrics" }];
  readonly endpoint: Endpoint;
  /** The user `platform`. */
  readonly admin: TypedSecret<"username" | "password">;
  /** The users of clients. Empty if they share `platform`. */
  private readonly users = new Map<Client, TypedSecret<"username" | "password">>();
  private readonly ready: pulumi.Resource[];

  constructor(name: string, { namespace, config }: ClickhouseArgs, opts?: pulumi.ComponentResourceOptions) {
    super("Clickhouse", name, namespace, config, opts);
    this.admin = credentials(this, "admin", config.auth, () => ({
      username: platformUser,
      password: password(this, "admin", config.auth.rotation),
    }));
    if (namespace.global.separateUsers)
      for (const client of Object.keys(clients) as Client[]) {
        const values = { username: client, password: password(this, `user-${client}`, config.auth.rotation) };
        this.users.set(
          client,
          TypedSecret.create(this, `user-${client}`, () => values),
        );
      }
    const server = this.server(config);
    const front = service(this, { role: "server", ports, ...exposed(this, config.service), workload: server });
    this.ready = [server, front];
    this.endpoint = endpoint(this, ports.http);
    this.registerOutputs({});
  }

  /** Connection of a client to the HTTP interface, for pods in the component's own namespace. */
  connection(client: Client): ClickhouseConnection {
    const user = this.users.get(client) ?? this.admin;
    return {
      host: this.host(),
      port: ports.http,
      database: "default",
      username: user.key("username"),
      password: user.key("password"),
      revision: user.revision,
      ready: this.ready,
      ...this.serves("server", ["http"]),
    };
  }

  private server({ image, resources, storage, ...own }: Config["clickhouse"]) {
    const configuration = files(this, "config", {
      "config.xml": settings(resources.limits.memory),
      "users.xml": users(resources.limits.memory, [...this.users.keys()]),
    });
    const clientUsers = [...this.users];
    const additions = this.additions(own);
    const adminPassword = this.admin.key("password");
    // A volume of additions exists only if the stack has some, so the type of the volumes' names is `string`.
    return stateful<string>(this, {
      replicas: 1,
      ports,
      storage,
      pod: {
        user,
        role: "server",
        checksums: {
          config: configuration.checksum,
          admin: this.admin.revision,
          ...Object.fromEntries(clientUsers.map(([client, { revision }]) => [`user-${client}`, revision])),
          ...Object.fromEntries(additions.map(({ name, made }) => [name, made.checksum])),
        },
        // On SIGTERM the server waits for its queries and flushes its buffers.
        gracePeriod: 60,
        containers: {
          clickhouse: {
            image: this.image(image),
            command: ["sh", "-eu", "-c", startScript(adminPassword, [...this.users.keys()])],
            env: {
              PASSWORD: adminPassword,
              ...Object.fromEntries(
                clientUsers.map(([client, secret]) => [passwordVariable(client), secret.key("password")]),
              ),
              HOME: "/tmp",
            },
            ports,
            resources,
            mounts: {
              "/var/lib/clickhouse": "data",
              "/etc/clickhouse-server": "config",
              ...Object.fromEntries(additions.map(({ name, path }) => [path, name])),
              "/tmp": "tmp",
            },
            // The port opens after the tables are loaded.
            startup: httpProbe("/ping", "http", { every: 2, failures: 300 }),
            readiness: httpProbe("/ping", "http"),
            liveness: httpProbe("/ping", "http", lenientLiveness),
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          ...Object.fromEntries(additions.map(({ name, made }) => [name, configFiles(made.name)])),
          tmp: scratch({ size: "256Mi" }),
        },
      },
    });
  }

  /** The stack's additions to each of the two files, in the directories that ClickHouse merges into them. */
  private additions({ settings, users }: Pick<Config["clickhouse"], "settings" | "users">) {
    const all = [
      { name: "settings", elements: settings, path: "/etc/clickhouse-server/config.d" },
      { name: "users", elements: users, path: "/etc/clickhouse-server/users.d" },
    ];
    return all
      .filter(({ elements }) => Object.keys(elements).length > 0)
      .map(({ name, elements, path }) => ({ name, path, made: files(this, name, { "stack.xml": xml(elements) }) }));
  }
}
