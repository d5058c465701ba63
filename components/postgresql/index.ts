import type * as pulumi from "@pulumi/pulumi";
import { derived, itemsWhen, joined, others, when, whenever } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { type ConfigFiles, files } from "../kit/config.ts";
import type { Endpoint, SqlConnection } from "../kit/connection.ts";
import { runOnce } from "../kit/job.ts";
import { configFiles, execProbe, lenientLiveness, limitedAs, scratch, secretFiles } from "../kit/pod.ts";
import { credentials, password, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import type { Wanted } from "./databases.ts";
import {
  createExtensionsScript,
  createUsersScript,
  layout,
  port,
  prepareScript,
  settings,
  superuser,
} from "./manifests.ts";

export { logSizes } from "./manifests.ts";

const ports = { postgresql: port };
/** User and group `postgres` of the official image. */
const user = 999;
/** User and database of the metrics exporter: it has the role `pg_monitor`, and reads no table. */
const monitor = "monitoring";

export interface PostgresqlArgs<D extends string> extends ComponentArgs<Config["postgresql"]> {
  /** Databases that components connect to, each with a user of the same name. `config.databases` come on top. */
  databases: readonly Wanted<D>[];
  /** Create the user of the metrics exporter. Default: false. */
  monitor?: boolean;
}

/**
 * One PostgreSQL server. Each client has its own database and user. `D` is the union of the databases' names: a
 * connection to another one does not compile.
 */
export class Postgresql<D extends string> extends Component {
  readonly endpoint: Endpoint;
  /** The superuser's password. */
  readonly admin: TypedSecret<"password">;
  /** Secrets by user. Each user owns the database of the same name. */
  private readonly users = new Map<string, TypedSecret<"username" | "password">>();
  private readonly usersJob: pulumi.Resource;

  constructor(name: string, args: PostgresqlArgs<D>, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, databases, monitor: monitored = false } = args;
    super("Postgresql", name, namespace, config, opts);
    const { rotation } = config.auth;
    this.admin = credentials(this, "admin", config.auth, () => ({ password: password(this, "admin", rotation) }));
    const all = [...databases, { database: monitor, wantedBy: monitored }];
    const more = others(
      config.databases,
      all.map(({ database }) => database),
    );
    const wanted: Wanted<string>[] = [...all, ...more.map((database) => ({ database }))];
    for (const { database, wantedBy = true } of wanted)
      whenever(wantedBy, () => this.users.set(database, this.userSecret(database, rotation)));
    const server = this.server(config, files(this, "config", settings(config)));
    const front = service(this, { role: "server", ports, ...exposed(this, config.service), workload: server });
    this.endpoint = endpoint(this, port);
    this.usersJob = this.createUsers(config, wanted, monitored, [server, front]);
    this.registerOutputs({});
  }

  /** Connection to `database` as its owner, for pods in `namespace`. */
  database(database: D, namespace: NamespaceContext): SqlConnection {
    return this.connection(database, namespace);
  }

  /** Connection of the metrics exporter, for pods in `namespace`. Throws without `args.monitor`. */
  monitor(namespace: NamespaceContext): SqlConnection {
    return this.connection(monitor, namespace);
  }

  private connection(database: string, namespace: NamespaceContext): SqlConnection {
    const user = this.users.get(database);
    if (!user)
      throw new Error(`${this.name}: found no database ${database}; valid: ${[...this.users.keys()].join(", ")}`);
    const secret = user.in(namespace);
    return {
      host: this.host(),
      port,
      database,
      username: secret.key("username"),
      password: secret.key("password"),
      revision: secret.revision,
      ready: [this.usersJob],
      ...this.serves("server", ["postgresql"]),
    };
  }

  private userSecret(user: string, rotation: number): TypedSecret<"username" | "password"> {
    const suffix = `user-${withDashes(user)}`;
    return TypedSecret.create(this, suffix, () => ({ username: user, password: password(this, suffix, rotation) }));
  }

  private server({ image: reference, resources, storage }: Config["postgresql"], configuration: ConfigFiles) {
    const { bin, mount, data } = layout(reference);
    const image = this.image(reference);
    const adminPassword = this.admin.key("password");
    const isReady = [`${bin}/pg_isready`, "-q", "-h", "127.0.0.1"];
    return stateful(this, {
      replicas: 1,
      ports,
      storage,
      pod: {
        user,
        // initdb does, and who uses the server's own socket is let in by that name.
        userName: superuser,
        role: "server",
        // The server reads both only at its start.
        checksums: { config: configuration.checksum, admin: this.admin.revision },
        // A fast shutdown writes a checkpoint. On a busy server that takes longer than Kubernetes' default of 30 s.
        gracePeriod: 120,
        init: {
          prepare: {
            image,
            command: ["sh", "-eu", "-c", prepareScript(adminPassword)],
            env: { BIN: bin, PGDATA: data, MOUNT: mount },
            resources,
            mounts: { [mount]: "data", "/run/admin": "admin", "/dev/shm": "shm", "/tmp": "tmp" },
          },
        },
        containers: {
          postgresql: {
            image,
            command: [`${bin}/postgres`, "-D", data],
            args: ["-c", "config_file=/etc/postgresql/postgresql.conf"],
            ports,
            resources,
            mounts: {
              [mount]: "data",
              "/etc/postgresql": "config",
              "/var/run/postgresql": "run",
              "/dev/shm": "shm",
              "/tmp": "tmp",
            },
            // Crash recovery reads the log since the last checkpoint: up to ten minutes.
            startup: execProbe(isReady, { every: 2, failures: 300 }),
            readiness: execProbe(isReady),
            liveness: execProbe(isReady, lenientLiveness),
            // On SIGTERM PostgreSQL would wait for its clients to disconnect; "fast" disconnects them.
            preStop: [`${bin}/pg_ctl`, "stop", "-D", data, "-m", "fast", "-t", "110"],
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          admin: secretFiles({ password: adminPassword }),
          run: scratch({ size: "16Mi" }),
          // Parallel queries share memory here; a container's default of 64 MiB is too small.
          shm: scratch({ size: "256Mi", memory: true }),
          tmp: scratch({ size: "64Mi" }),
        },
      },
    });
  }

  private createUsers(
    { image, resources, extensions }: Config["postgresql"],
    wanted: Wanted<string>[],
    monitored: boolean,
    dependsOn: pulumi.Resource[],
  ) {
    const created = Object.entries(extensions).flatMap(([database, names]) =>
      names.map((name) => `${database}:${name}`),
    );
    /** A field for each user. */
    const fields = <T>(of: (user: TypedSecret<"username" | "password">) => T): Record<string, T> =>
      Object.assign(
        {},
        ...wanted.map(({ database, wantedBy = true }) => {
          const user = this.users.get(database);
          return user ? when(wantedBy, () => ({ [database]: of(user) })) : {};
        }),
      );
    const adminPassword = this.admin.key("password");
    const script = [createUsersScript(adminPassword), ...(created.length > 0 ? [createExtensionsScript] : [])];
    return runOnce(
      this,
      "users",
      {
        user,
        connects: [this.serves("server", ["postgresql"])],
        checksums: {
          admin: this.admin.revision,
          ...fields(({ revision }) => revision),
        },
        containers: {
          psql: {
            image: this.image(image),
            command: ["sh", "-eu", "-c", script.join("\n")],
            env: {
              PGHOST: this.host(),
              PGUSER: superuser,
              PGPASSWORD: adminPassword,
              PGDATABASE: "postgres",
              DATABASES: joined(
                wanted.flatMap(({ database, wantedBy = true }) => itemsWhen(wantedBy, () => [database])),
                " ",
              ),
              ...when(monitored, () => ({ MONITOR: monitor })),
              ...(created.length > 0 && { EXTENSIONS: created.join(" ") }),
            },
            resources: limitedAs(resources, {
              requests: { cpu: "10m", memory: "32Mi" },
              limits: { memory: "64Mi" },
            }),
            mounts: { "/run/users": "users", "/tmp": "tmp" },
          },
        },
        volumes: {
          users: secretFiles(fields((user) => user.key("password"))),
          tmp: scratch({ size: "16Mi" }),
        },
      },
      { dependsOn },
    );
  }
}

/** A database's name as part of an object's name. */
const withDashes = derived("withDashes", (name: string): string => name.replaceAll("_", "-"));
