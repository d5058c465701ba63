import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, RedisConnection } from "../kit/connection.ts";
import { credentials, password, type TypedSecret } from "../kit/secret.ts";
import { endpoint, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { maxMemory, redisConf, redisPod, redisPort } from "./server.ts";

const ports = { redis: redisPort };
/** Logical database per client. Monitoring reads all of them and stores nothing, so it has Redis' default, 0. */
const databases = { monitoring: 0, airflow: 1, "superset-cache": 2, "superset-queue": 3 };

export interface RedisArgs extends ComponentArgs<Config["redis"]> {}

/** One Redis server with a password and an append-only file. Each client has its own logical database. */
export class Redis extends Component {
  readonly endpoint: Endpoint;
  /** The password of Redis' only user. */
  readonly admin: TypedSecret<"password">;
  private readonly ready: pulumi.Resource[];

  constructor(name: string, { namespace, config }: RedisArgs, opts?: pulumi.ComponentResourceOptions) {
    super("Redis", name, namespace, config, opts);
    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));
    const configuration = files(this, "config", redisConf(snapshotsAndMemory(config)));
    const { image, resources, storage } = config;
    const server = stateful(this, {
      replicas: 1,
      ports,
      storage,
      pod: redisPod(this, { role: "server", image, resources, admin: this.admin, configuration }),
    });
    const front = service(this, { role: "server", ports, type: config.service.type, workload: server });
    this.ready = [server, front];
    this.endpoint = endpoint(this, redisPort);
    this.registerOutputs({});
  }

  /** Connection of `client` to its logical database, for pods in `namespace`. */
  connection(client: keyof typeof databases, namespace: NamespaceContext): RedisConnection {
    const secret = this.admin.in(namespace);
    return {
      host: this.host(),
      port: redisPort,
      database: databases[client],
      password: secret.key("password"),
      revision: secret.revision,
      ready: this.ready,
    };
  }
}

/**
 * No snapshots beside the append-only file. Clients are caches and queues, and a full server evicts only the caches.
 */
const snapshotsAndMemory = ({ resources: { limits }, maxMemoryPercent }: Config["redis"]) => `save ""
# ${maxMemoryPercent} % of redis.resources.limits.memory (${limits.memory}).
${maxMemory(limits.memory, maxMemoryPercent)}
# Caches give way, queues do not: a full server evicts keys that expire, and Celery's queues never do. Once only queues
# are left, it refuses writes.
maxmemory-policy volatile-lru
`;
