import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, RedisConnection } from "../kit/connection.ts";
import { credentials, password, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { maxMemory, type RedisUser, redisConf, redisPod, redisPort } from "./server.ts";

const ports = { redis: redisPort };
/** Logical database per client. Monitoring reads all of them and stores nothing, so it has Redis' default, 0. */
const databases = { monitoring: 0, airflow: 1, "superset-cache": 2, "superset-queue": 3 };
type Client = keyof typeof databases;
const clients = Object.keys(databases) as Client[];
/** Clients that lose nothing when a key is dropped. */
const caches: readonly Client[] = ["superset-cache"];

export interface RedisArgs extends ComponentArgs<Config["redis"]> {}

/** One of the servers: the only one, or the one of caches. */
interface Server {
  role: "server" | "cache";
  /** Suffix of its objects' names. */
  suffix?: "cache";
  ready: pulumi.Resource[];
}

/**
 * A Redis server with a password and an append-only file, and a second one for caches if the stack has it. Each client
 * has its own logical database, and with `global.separateUsers` its own user, who may use no other.
 */
export class Redis extends Component {
  readonly endpoint: Endpoint;
  /** The password of the user `default`, who may do everything. */
  readonly admin: TypedSecret<"password">;
  /** The password of each client's user. Empty if clients are `default`. */
  private readonly users = new Map<Client, TypedSecret<"username" | "password">>();
  private readonly queues: Server;
  private readonly cache: Server;
  /** Whether caches have a server of their own. */
  private readonly isSplit: boolean;

  constructor(name: string, { namespace, config }: RedisArgs, opts?: pulumi.ComponentResourceOptions) {
    super("Redis", name, namespace, config, opts);
    const { rotation } = config.auth;
    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", rotation),
    }));
    if (namespace.global.separateUsers)
      for (const client of clients) {
        const values = { username: client, password: password(this, `user-${client}`, rotation) };
        this.users.set(
          client,
          TypedSecret.create(this, `user-${client}`, () => values),
        );
      }
    const { image, resources, storage, settings, cache, maxMemoryPercent } = config;
    this.isSplit = cache.enabled;
    const memory = { limit: resources.limits.memory, percent: maxMemoryPercent, of: "redis" };
    this.queues = this.server("server", {
      ...{ image, resources, storage, settings, reached: exposed(this, config.service) },
      lines: cache.enabled ? queuesAlone(memory) : cachesAndQueues(memory),
    });
    const own = { limit: cache.resources.limits.memory, percent: maxMemoryPercent, of: "redis.cache" };
    this.cache = cache.enabled
      ? this.server("cache", { ...cache, image, settings, lines: cachesAlone(own) })
      : this.queues;
    this.endpoint = endpoint(this, redisPort);
    this.registerOutputs({});
  }

  /** Connection of `client` to its logical database, for pods in `namespace`. */
  connection(client: Client, namespace: NamespaceContext): RedisConnection {
    const { role, suffix, ready } = caches.includes(client) ? this.cache : this.queues;
    const secret = (this.users.get(client) ?? this.admin).in(namespace);
    return {
      host: this.host(suffix),
      port: redisPort,
      database: databases[client],
      username: this.users.has(client) ? client : undefined,
      password: secret.key("password"),
      revision: secret.revision,
      ready,
      ...this.serves(role, ["redis"]),
    };
  }

  private server(
    role: Server["role"],
    spec: Pick<Config["redis"], "image" | "resources" | "storage" | "settings"> & {
      /** Lines on snapshots and memory. */
      lines: string;
      reached?: ReturnType<typeof exposed>;
    },
  ): Server {
    const { image, resources, storage, lines, settings, reached = { type: "ClusterIP" } } = spec;
    const suffix = role === "cache" ? role : undefined;
    const named = suffix && { suffix };
    const configuration = files(this, suffix ? "cache-config" : "config", redisConf(lines, settings));
    const users = this.usersOf(role);
    const pod = redisPod(this, { role, image, resources, admin: this.admin, configuration, users });
    const revisions = Object.fromEntries([...this.users].map(([client, { revision }]) => [`user-${client}`, revision]));
    const workload = stateful(this, {
      ...named,
      replicas: 1,
      ports,
      storage,
      pod: { ...pod, checksums: { ...pod.checksums, ...revisions } },
    });
    const front = service(this, { ...named, role, ports, ...reached, workload });
    return { ...named, role, ready: [workload, front] };
  }

  /** Users of a server's clients. Monitoring reads both. */
  private usersOf(role: Server["role"]): RedisUser[] {
    return [...this.users]
      .filter(([client]) => client === "monitoring" || caches.includes(client) === (role === "cache") || !this.isSplit)
      .map(([client, secret]) => ({
        name: client,
        database: databases[client],
        password: secret.key("password"),
        monitors: client === "monitoring",
      }));
  }
}

interface Memory {
  limit: string;
  percent: number;
  /** Path of the block whose limit it is. */
  of: string;
}

const share = ({ limit, percent, of }: Memory) => `# ${percent} % of ${of}.resources.limits.memory (${limit}).
${maxMemory(limit, percent)}`;

/**
 * No snapshots beside the append-only file. Clients are caches and queues, and a full server evicts only the caches.
 */
const cachesAndQueues = (memory: Memory) => `save ""
${share(memory)}
# Caches give way, queues do not: a full server evicts keys that expire, and Celery's queues never do. Once only queues
# are left, it refuses writes.
maxmemory-policy volatile-lru
`;

const queuesAlone = (memory: Memory) => `save ""
${share(memory)}
# Queues alone: a full server refuses writes, it never drops a task.
maxmemory-policy noeviction
`;

const cachesAlone = (memory: Memory) => `save ""
${share(memory)}
# Caches alone: a full server drops what was not used for the longest time.
maxmemory-policy allkeys-lru
`;
