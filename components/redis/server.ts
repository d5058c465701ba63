import { mebibytesOf } from "../../config/quantity.ts";
import type { Component } from "../kit/component.ts";
import type { ConfigFiles } from "../kit/config.ts";
import { shellPassword } from "../kit/password.ts";
import { configFiles, execProbe, lenientLiveness, type Resources, scratch } from "../kit/pod.ts";
import type { SecretKey, TypedSecret } from "../kit/secret.ts";
import { withSettings } from "../kit/settings.ts";
import type { StatefulPod } from "../kit/stateful.ts";

/*
 * One Redis server: its pod and its configuration. The platform's Redis is a StatefulSet of it, the web app's Redis a
 * Deployment.
 */

export const redisPort = 6379;
/** User and group `redis` of the official image. */
const user = 999;

/** A user beside `default`, for one client. */
export interface RedisUser {
  name: string;
  /** The only logical database that it may use. */
  database: number;
  password: SecretKey;
  /** Whether it reads statistics and no key. Default: it reads and writes the keys of its database. */
  monitors?: boolean;
}

export interface RedisPodArgs {
  /** Value of the pod's label app.kubernetes.io/component. */
  role: string;
  /** The image reference as the stack's configuration has it. */
  image: string;
  resources: Resources;
  /** The Secret with the password of Redis' only user, `default`. */
  admin: TypedSecret<"password">;
  /** The ConfigMap made of `redisConf`. */
  configuration: ConfigFiles;
  /** Users of clients. Default: none, clients are `default`. */
  users?: RedisUser[];
  /** Let the server become a replica of another one with the same password: a restore does that. Default: false. */
  replicates?: boolean;
  /**
   * Wait for a lock on the volume before the server starts. For Deployments: a deleted pod may still be writing when
   * its successor starts. A StatefulSet never runs two pods on one volume. Default: false.
   */
  locksVolume?: boolean;
}

/** The pod of a Redis server. The workload adds the volume `data`. */
export function redisPod(
  component: Component,
  { role, image, resources, admin, configuration, users = [], ...options }: RedisPodArgs,
): StatefulPod<"config" | "run"> & { role: string } {
  const password = admin.key("password");
  return {
    user,
    role,
    checksums: { config: configuration.checksum, admin: admin.revision },
    gracePeriod: 60,
    containers: {
      redis: {
        image: component.image(image),
        command: ["sh", "-eu", "-c", startScript(password, users, options)],
        env: { PASSWORD: password, ...Object.fromEntries(users.map((user) => [variableOf(user), user.password])) },
        ports: { redis: redisPort },
        resources,
        mounts: { "/data": "data", "/etc/redis": "config", "/run/redis": "run" },
        // While Redis reads its append-only file it answers LOADING, and the probe fails.
        startup: execProbe(["sh", "-c", ping], { every: 2, failures: 300 }),
        readiness: execProbe(["sh", "-c", ping]),
        liveness: execProbe(["sh", "-c", ping], lenientLiveness),
      },
    },
    volumes: {
      config: configFiles(configuration.name),
      run: scratch({ size: "1Mi", memory: true }),
    },
  };
}

/**
 * `redis.conf`: the settings that every server has, then `own`, the lines on snapshots and memory. `settings` are the
 * stack's.
 */
export const redisConf = (own: string, settings: Record<string, string> = {}): Record<string, string> => ({
  "redis.conf": withSettings(
    `include /run/redis/auth.conf
bind * -::*
port ${redisPort}
dir /data
# Every write is in the file within a second; a rewrite starts from a snapshot, so loading is quick.
appendonly yes
appendfsync everysec
aof-use-rdb-preamble yes
${own}`,
    settings,
    { between: " " },
  ),
});

/** The directive `maxmemory`: a percentage of the container's memory limit, in mebibytes. */
export const maxMemory = (limit: string, percent: number): string => `maxmemory ${mebibytesOf(limit, percent)}mb`;

/**
 * Shell: prints the line of `redis.conf` that defines the only user. The password is a hash, which needs no quoting.
 * Two hashes are valid, with and without the line ends after the value: clients that read the Secret as an environment
 * variable send them.
 */
export const redisLogin = (variable: string, key: SecretKey): string =>
  `
sha256() { sha256sum | cut -c 1-64; }
untrimmed="$(printf %s "$${variable}" | sha256)"
${shellPassword(variable, key)}
printf 'user default on #%s #%s ~* &* +@all\\n' "$untrimmed" "$(printf %s "$${variable}" | sha256)"
`.trim();

/** Shell: prints a variable's value as a string of `redis.conf`, each byte as a hexadecimal escape. */
export const redisString = (variable: string): string =>
  `printf '"%s"' "$(printf %s "$${variable}" | od -An -v -tx1 | sed 's/ /\\\\x/g' | tr -d '\\n')"`;

const variableOf = ({ name }: RedisUser): string => `PASSWORD_${name.toUpperCase().replaceAll("-", "_")}`;

/**
 * What a client may do: everything with keys of its own logical database, and nothing that concerns the server or other
 * databases. Redis warns that `+select|<n>` is deprecated; it has nothing else that limits a user to a database.
 */
const rulesOf = ({ database, monitors }: RedisUser): string =>
  monitors
    ? `-@all +@connection -@admin -@dangerous +info +config|get +slowlog|get +slowlog|len +latency|latest +latency|histogram -select +select|${database}`
    : `+@all -@admin -@dangerous +info +keys -move -copy -select +select|${database}`;

/** Shell: prints the line of `redis.conf` that defines a client's user. Its password is generated, without line ends. */
const userLine = (user: RedisUser): string =>
  `printf 'user ${user.name} on #%s ~* &* ${rulesOf(user)}\\n' "$(printf %s "$${variableOf(user)}" | sha256)"`;

/** Passes the password in a file in memory: every process of the container could read an argument. */
const startScript = (
  password: SecretKey,
  users: RedisUser[],
  { replicates, locksVolume }: Pick<RedisPodArgs, "replicates" | "locksVolume">,
) =>
  [
    "umask 077",
    "{",
    redisLogin("PASSWORD", password),
    ...users.map(userLine),
    ...(replicates ? [`printf 'masterauth %s\\n' "$(${redisString("PASSWORD")})"`] : []),
    "} > /run/redis/auth.conf",
    ["unset PASSWORD", ...users.map(variableOf)].join(" "),
    ...(locksVolume ? ["exec 9> /data/lock", "flock 9"] : []),
    "exec redis-server /etc/redis/redis.conf",
  ].join("\n");

/** Fails for a wrong password and for a server that is still loading: neither answers PONG. */
const ping = `test "$(REDISCLI_AUTH="$PASSWORD" redis-cli --no-auth-warning ping)" = PONG`;
