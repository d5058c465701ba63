import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import { bytes, mebibytes } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, RedisConnection } from "../kit/connection.ts";
import { redisLogin } from "../kit/password.ts";
import { configFiles, execProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { credentials, password, type SecretKey, type TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";

const port = 6379;
/** User and group `redis` of the official image. */
const user = 999;
/** Who has which database: a number of its own for everyone who writes. 0 is for those who look. */
const databases = { monitoring: 0, airflow: 1, "superset-cache": 2, "superset-queue": 3 };

/** One Redis server with a password and an append-only file. Components that share it take a database number each. */
export class Redis extends Component {
  readonly endpoint: Endpoint;
  readonly admin: TypedSecret<"password">;
  private readonly ready: pulumi.Resource[];

  constructor(
    name: string,
    args: { namespace: NamespaceContext; config: Config["redis"] },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config } = args;
    super("Redis", name, namespace, parseImage(config.image)?.tag ?? "", opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));

    const configuration = files(this, "config", settings(config));

    const server = stateful(this, {
      replicas: 1,
      ports: { redis: port },
      storage: config.storage,
      pod: {
        user,
        role: "server",
        checksums: { config: configuration.checksum, admin: this.admin.revision },
        gracePeriod: 60,
        containers: {
          redis: {
            image: this.image(config.image),
            command: ["sh", "-eu", "-c", start(this.admin.key("password"))],
            env: { PASSWORD: this.admin.key("password") },
            ports: { redis: port },
            resources: config.resources,
            mounts: { "/data": "data", "/etc/redis": "config", "/run/redis": "run" },
            // Reading the append-only file: Redis answers LOADING, which is not ready, for as long as it takes.
            startup: execProbe(["sh", "-c", ping], { every: 2, failures: 300 }),
            readiness: execProbe(["sh", "-c", ping]),
            liveness: execProbe(["sh", "-c", ping], lenientLiveness),
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          run: scratch({ size: "1Mi", memory: true }),
        },
      },
    });

    const front = service(this, {
      role: "server",
      ports: { redis: port },
      type: config.service.type,
      workload: server,
    });
    this.ready = [server, front];
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port };
    this.registerOutputs({});
  }

  /** How `client` reaches its own database, from `namespace`. */
  connection(client: keyof typeof databases, namespace: NamespaceContext): RedisConnection {
    const secret = this.admin.in(namespace);
    return {
      host: this.host(),
      port,
      database: databases[client],
      password: secret.key("password"),
      revision: secret.revision,
      ready: this.ready,
    };
  }
}

/** The password reaches Redis by a file in memory, as a hash: as an argument every process could read it. */
const start = (password: SecretKey) =>
  `
umask 077
{
${redisLogin("PASSWORD", password)}
} > /run/redis/auth.conf
unset PASSWORD
exec redis-server /etc/redis/redis.conf
`.trim();

/** A wrong password or a server that is still loading does not answer PONG. */
const ping = `test "$(REDISCLI_AUTH="$PASSWORD" redis-cli --no-auth-warning ping)" = PONG`;

function settings({ resources, maxMemoryPercent }: Config["redis"]) {
  const maxMemory = Math.floor((mebibytes(bytes(resources.limits.memory)) * maxMemoryPercent) / 100);
  return {
    "redis.conf": `include /run/redis/auth.conf
bind * -::*
port ${port}
dir /data
# Every write is in the file within a second; a rewrite starts from a snapshot, so loading is quick.
appendonly yes
appendfsync everysec
aof-use-rdb-preamble yes
save ""
# ${maxMemoryPercent} % of redis.resources.limits.memory (${resources.limits.memory}).
maxmemory ${maxMemory}mb
# Caches give way, queues do not: a full server evicts keys that expire, and Celery's queues never do. Once only queues
# are left, it refuses writes.
maxmemory-policy volatile-lru
`,
  };
}
