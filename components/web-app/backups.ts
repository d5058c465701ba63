import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { Component } from "../kit/component.ts";
import type { BucketConnection } from "../kit/connection.ts";
import { cronJob } from "../kit/job.ts";
import type { Connects } from "../kit/network.ts";
import { type Container, limitedAs, type Resources, scratch, type Volume } from "../kit/pod.ts";
import type { SecretKey, TypedSecret } from "../kit/secret.ts";
import { redisLogin } from "../redis/server.ts";

/** Where backups of Redis go. */
export interface Backups {
  bucket: BucketConnection;
  /** Image with MinIO's client, `mc`. */
  client: string;
}

interface Options extends Backups {
  /** Name of the environment: the folder of its backups in the bucket. */
  environment: string;
  /** Redis' password. */
  admin: TypedSecret<"password">;
  /** Redis and its Service. */
  dependsOn: pulumi.Resource[];
}

/** User of the web app's pods. Redis' tools and `mc` run as any user. */
const user = 10001;
/** Port of the server that a restore runs. */
const restorePort = 6380;
/** The server that a restore runs, for Redis to connect to. */
export const restoreServer = (component: Component): Connects => component.serves("restore", [restorePort]);
const mounts = { "/backup": "backup", "/tmp": "tmp" } as const;

/** The CronJob that copies Redis to a bucket, and a suspended one from which `./platform web-app restore` makes its Job. */
export function backups(component: Component, config: Config["webApp"], options: Options): void {
  const resources = limitedAs(config.redis.resources, {
    requests: { cpu: "5m", memory: "32Mi" },
    limits: { memory: "256Mi" },
  });
  const redis = redisTools(component, config, options, resources);
  const mc = bucketTools(component, options, resources);
  const volumes = { backup: scratch({ size: config.storage.size }), tmp: scratch({ size: "64Mi" }) };
  const connects = [component.serves("redis", ["redis"]), options.bucket];
  const dependsOn = [...options.dependsOn, ...options.bucket.ready];

  cronJob(component, "cronjob-backup", backupJob(config, connects, redis, mc, volumes), { dependsOn });
  cronJob(component, "cronjob-restore", restoreJob(config, connects, options.admin, redis, mc, volumes), { dependsOn });
}

type Volumes = Record<"backup" | "tmp", Volume>;

const backupJob = ({ backup }: Config["webApp"], connects: Connects[], redis: Tools, mc: Tools, volumes: Volumes) => ({
  schedule: backup.schedule,
  retries: 2,
  pod: {
    user,
    role: "backup",
    connects,
    init: { copy: { ...redis, command: ["sh", "-eu", "-c", copy] } },
    containers: {
      upload: { ...mc, command: ["sh", "-eu", "-c", upload], env: { ...mc.env, KEEP: String(backup.keep) } },
    },
    volumes,
  },
});

const restoreJob = (
  config: Config["webApp"],
  connects: Connects[],
  admin: Options["admin"],
  redis: Tools,
  mc: Tools,
  volumes: Volumes,
) => ({
  // Suspended: it is the template of a Job that sets FROM to the name of a backup.
  schedule: "@yearly",
  suspend: true,
  retries: 0,
  pod: {
    user,
    role: "restore",
    connects,
    init: { fetch: { ...mc, command: ["sh", "-eu", "-c", fetch], env: { ...mc.env, FROM: "" } } },
    containers: {
      restore: {
        ...redis,
        command: ["sh", "-eu", "-c", restore(admin.key("password"))],
        env: { ...redis.env, POD_IP: { field: "status.podIP" } },
        // It loads the backup into memory, as Redis does.
        resources: { ...redis.resources, limits: config.redis.resources.limits },
      },
    },
    volumes,
  },
});

type Tools = Omit<Container<"backup" | "tmp">, "command">;

/** A container with Redis' tools that reaches the server. */
const redisTools = (
  component: Component,
  config: Config["webApp"],
  { admin }: Options,
  resources: Resources,
): Tools => ({
  image: component.image(config.redis.image),
  env: { REDIS_HOST: component.host("service-redis"), REDISCLI_AUTH: admin.key("password") },
  resources,
  mounts,
});

/** A container with MinIO's client that reaches the bucket as `$FOLDER`. */
const bucketTools = (component: Component, { bucket, client, environment }: Options, resources: Resources): Tools => ({
  image: component.image(client),
  env: {
    ACCESS_KEY: bucket.accessKey,
    SECRET_KEY: bucket.secretKey,
    // Kubernetes expands `$(…)`, so the manifest holds no secret.
    MC_HOST_minio: bucket.endpoint.replace("://", "://$(ACCESS_KEY):$(SECRET_KEY)@"),
    MC_CONFIG_DIR: "/tmp/mc",
    FOLDER: `minio/${bucket.bucket}/${environment}`,
  },
  resources,
  mounts,
});

/** Shell: copies Redis as a replica does, a consistent snapshot of all databases, and checks that it can be read. */
const copy = `
redis-cli --no-auth-warning -h "$REDIS_HOST" --rdb /backup/dump.rdb
redis-check-rdb /backup/dump.rdb > /tmp/check || { cat /tmp/check; exit 1; }
`.trim();

/** Shell: uploads the copy and deletes the oldest ones. The names are times, so they sort by age. */
const upload = `
name="$(date -u +%Y-%m-%dT%H-%M-%SZ).rdb"
mc cp --quiet /backup/dump.rdb "$FOLDER/$name"
mc find "$FOLDER" --name '*.rdb' | sort -r | tail -n "+$((KEEP + 1))" > /tmp/old
while read -r old; do mc rm "$old"; done < /tmp/old
echo "backup $name"
`.trim();

/** Shell: downloads the backup `$FROM`, or lists the backups if it does not exist. */
const fetch = `
if ! mc stat "$FOLDER/$FROM" > /dev/null 2>&1; then
  echo "there is no backup $FROM; there are:"
  mc find "$FOLDER" --name '*.rdb' --print '{base}' | sort
  exit 1
fi
mc cp --quiet "$FOLDER/$FROM" /backup/dump.rdb
`.trim();

/**
 * Shell: loads the backup into a second server and makes Redis its replica until the synchronization is complete. Redis
 * replaces its data only after it has received everything; if that fails, it keeps them. Clients can read meanwhile.
 */
const restore = (password: SecretKey) =>
  `
umask 077
{
${redisLogin("REDISCLI_AUTH", password)}
} > /tmp/redis.conf
redis-server /tmp/redis.conf --port ${restorePort} --dir /backup --dbfilename dump.rdb --save "" --appendonly no > /tmp/log &
beside() { redis-cli --no-auth-warning -e -p ${restorePort} "$@"; }
redis() { redis-cli --no-auth-warning -e -h "$REDIS_HOST" "$@"; }
until test "$(beside ping 2> /dev/null)" = PONG; do
  kill -0 $! || { cat /tmp/log; exit 1; }
  sleep 1
done
beside info keyspace
# Whatever happens, Redis takes writes again.
trap 'redis replicaof no one' EXIT
redis replicaof "$POD_IP" ${restorePort}
until redis info replication | grep -q '^master_link_status:up'; do
  kill -0 $! || { cat /tmp/log; exit 1; }
  sleep 1
done
echo "restored"
`.trim();
