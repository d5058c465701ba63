import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, labelValue, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { BucketConnection, Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { ingress, reachedBy } from "../kit/ingress.ts";
import { cronJob } from "../kit/job.ts";
import { gunicorn } from "../kit/listen.ts";
import { drain, execProbe, httpProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { credentials, password, type SecretKey, type TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { claim } from "../kit/storage.ts";
import { maxMemory, redisConf, redisLogin, redisPod, redisPort } from "../redis/server.ts";

const ports = { http: 5000 };
/** The image's own user. */
const user = 1000;

/**
 * An API that takes jobs, workers that do them, and a Redis of their own between the two. Its objects carry their kind
 * and the environment's name, `app-test-deployment-flask`, so that several environments are told apart at a glance.
 */
export class WebApp extends Component {
  override readonly configKey = "webApp";
  readonly endpoint: Endpoint;
  /** Redis' password. */
  readonly admin: TypedSecret<"password">;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["webApp"];
      /** Where the copies of Redis go, and the image with MinIO's client. Without them there are no copies. */
      backups?: { bucket: BucketConnection; client: string };
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, backups } = args;
    const environment = config.environment ?? namespace.stack;
    const versions = { app: tagOf(config.image), redis: tagOf(config.redis.image) };
    super("WebApp", name, namespace, versions.app, opts, {
      prefix: `app-${environment}`,
      labels: (role) => ({
        app: name,
        environment,
        ...(role && { role }),
        // A new version of the application is no reason to restart Redis.
        ...(role === "redis" && { "app.kubernetes.io/version": labelValue(versions.redis) }),
      }),
    });

    this.admin = credentials(this, "secret-redis", config.auth, () => ({
      password: password(this, "secret-redis", config.auth.rotation),
    }));
    const image = this.image(config.image);

    const configuration = files(this, "config-redis", redisConf(snapshotsAndMemory(config.redis)));
    const volume = claim(this, "pvc-redis", config.storage);
    const server = redisPod(this, {
      role: "redis",
      image: config.redis.image,
      resources: config.redis.resources,
      admin: this.admin,
      configuration,
      replicates: true,
      locksVolume: true,
    });
    const redis = deployment(this, {
      suffix: "deployment-redis",
      replicas: 1,
      upgrade: "recreate",
      pod: {
        ...server,
        volumes: { data: { persistentVolumeClaim: { claimName: volume.metadata.name } }, ...server.volumes },
      },
      dependsOn: [volume],
    });
    const queue = service(this, {
      suffix: "service-redis",
      role: "redis",
      ports: { redis: redisPort },
      workload: redis,
    });

    const env = {
      REDIS_HOST: this.host("service-redis"),
      REDIS_PORT: String(redisPort),
      REDIS_PASSWORD: this.admin.key("password"),
    };
    const checksums = { redis: this.admin.revision };
    const volumes = { tmp: scratch({ size: "16Mi", memory: true }) };
    const mounts = { "/tmp": "tmp" } as const;

    const flask = deployment(this, {
      suffix: "deployment-flask",
      replicas: config.flask.replicas,
      pod: {
        user,
        role: "flask",
        checksums,
        gracePeriod: 45,
        containers: {
          flask: {
            image,
            command: gunicorn(ports.http),
            // Its heartbeats are files: on a disk they could wait for it.
            args: ["--threads", "8", "--worker-tmp-dir", "/tmp", "--no-control-socket", "web_app.api:create_app()"],
            env,
            ports,
            resources: config.flask.resources,
            mounts,
            startup: httpProbe("/help", "http", { every: 2, failures: 150 }),
            // Asks Redis, which a restart of this server would not bring back.
            readiness: httpProbe("/healthz", "http"),
            liveness: httpProbe("/help", "http", lenientLiveness),
            preStop: drain,
          },
        },
        volumes,
      },
      dependsOn: [redis, queue],
    });

    deployment(this, {
      suffix: "deployment-worker",
      replicas: config.worker.replicas,
      pod: {
        user,
        role: "worker",
        checksums,
        // It takes no more jobs and ends the one it has. What takes longer is another worker's to do again.
        gracePeriod: 75,
        containers: {
          worker: {
            image,
            command: ["python", "-m", "web_app.worker"],
            env,
            resources: config.worker.resources,
            mounts,
            startup: execProbe(["sh", "-c", aliveLately], { every: 2, failures: 150 }),
            liveness: execProbe(["sh", "-c", aliveLately], { every: 30 }),
          },
        },
        volumes,
      },
      dependsOn: [redis, queue],
    });

    if (config.debug)
      deployment(this, {
        suffix: "deployment-debug",
        replicas: 1,
        pod: {
          user,
          role: "debug",
          checksums,
          // Nothing in it minds being killed.
          gracePeriod: 1,
          containers: {
            python: {
              image,
              command: ["sleep", "infinity"],
              env,
              resources: limitedAs(config.worker.resources, {
                requests: { cpu: "5m", memory: "16Mi" },
                limits: { memory: "192Mi" },
              }),
              mounts,
              startup: execProbe(["python", "-c", "import web_app.store"], { failures: 30 }),
              liveness: execProbe(["python", "-c", "import web_app.store"], { every: 60, within: 10 }),
            },
          },
          volumes,
        },
      });

    // LoadBalancer takes the place of the Service within the cluster; NodePort has one of its own beside it.
    const type = reachedBy(this, config.service);
    const front = service(this, {
      suffix: "service-flask",
      role: "flask",
      ports,
      type: type === "NodePort" ? "ClusterIP" : type,
      workload: flask,
    });
    if (type === "NodePort")
      service(this, { suffix: "service-nodeport-flask", role: "flask", ports, type, workload: flask });
    ingress(this, config.ingress, { suffix: "ingress-flask", role: "flask", front });

    if (backups) this.backUp(environment, config, backups, [redis, queue]);
    this.endpoint = {
      namespace: namespace.name,
      service: this.named("service-flask"),
      host: this.host("service-flask"),
      port: ports.http,
    };
    this.registerOutputs({});
  }

  /** Copies of Redis go to a bucket by the clock, and come back by a Job that `./platform web-app restore` makes. */
  private backUp(
    environment: string,
    config: Config["webApp"],
    { bucket, client }: { bucket: BucketConnection; client: string },
    redis: pulumi.Resource[],
  ): void {
    const [redisImage, clientImage] = [this.image(config.redis.image), this.image(client)];
    const resources = limitedAs(config.redis.resources, {
      requests: { cpu: "5m", memory: "32Mi" },
      limits: { memory: "256Mi" },
    });
    const ofRedis = {
      REDIS_HOST: this.host("service-redis"),
      REDISCLI_AUTH: this.admin.key("password"),
    };
    const ofBucket = {
      ACCESS_KEY: bucket.accessKey,
      SECRET_KEY: bucket.secretKey,
      // Kubernetes fills the two in: what the manifest holds is their names.
      MC_HOST_minio: bucket.endpoint.replace("://", "://$(ACCESS_KEY):$(SECRET_KEY)@"),
      MC_CONFIG_DIR: "/tmp/mc",
      FOLDER: `minio/${bucket.bucket}/${environment}`,
    };
    const volumes = { backup: scratch({ size: config.storage.size }), tmp: scratch({ size: "64Mi" }) };
    const mounts = { "/backup": "backup", "/tmp": "tmp" } as const;
    const options = { dependsOn: [...redis, ...bucket.ready] };

    cronJob(
      this,
      "cronjob-backup",
      {
        schedule: config.backup.schedule,
        retries: 2,
        pod: {
          user,
          role: "backup",
          init: {
            copy: { image: redisImage, command: ["sh", "-eu", "-c", copy], env: ofRedis, resources, mounts },
          },
          containers: {
            upload: {
              image: clientImage,
              command: ["sh", "-eu", "-c", upload],
              env: { ...ofBucket, KEEP: String(config.backup.keep) },
              resources,
              mounts,
            },
          },
          volumes,
        },
      },
      options,
    );
    cronJob(
      this,
      "cronjob-restore",
      {
        // Never by the clock: it is what a Job is made from, with the name of a backup in FROM.
        schedule: "@yearly",
        suspend: true,
        retries: 0,
        pod: {
          user,
          role: "restore",
          init: {
            fetch: {
              image: clientImage,
              command: ["sh", "-eu", "-c", fetch],
              env: { ...ofBucket, FROM: "" },
              resources,
              mounts,
            },
          },
          containers: {
            restore: {
              image: redisImage,
              command: ["sh", "-eu", "-c", restore(this.admin.key("password"))],
              env: { ...ofRedis, POD_IP: { field: "status.podIP" } },
              resources: { ...resources, limits: config.redis.resources.limits },
              mounts,
            },
          },
          volumes,
        },
      },
      options,
    );
  }
}

const tagOf = (image: string): string => parseImage(image)?.tag ?? "";

/** The worker touches it between two jobs and, while a job takes no longer than it may, during one. */
const aliveLately = 'test -n "$(find /tmp/alive -mmin -1)"';

/** Snapshots beside the append-only file, and no eviction: all that the web app stores is data. */
const snapshotsAndMemory = ({
  resources: { limits },
}: Config["webApp"]["redis"]) => `# And a snapshot of its own, dump.rdb: each hour in which something changed, each five minutes in which a lot did.
save 3600 1 300 100
# 60 % of webApp.redis.resources.limits.memory (${limits.memory}). Jobs, leases and results are data, although some expire: a full server refuses writes, it never drops a key.
${maxMemory(limits.memory, 60)}
maxmemory-policy noeviction
`;

/** Redis sends what it would send a replica: one moment of all its databases. A copy that cannot be read is none. */
const copy = `
redis-cli --no-auth-warning -h "$REDIS_HOST" --rdb /backup/dump.rdb
redis-check-rdb /backup/dump.rdb > /tmp/check || { cat /tmp/check; exit 1; }
`.trim();

/** The names are times, so they sort by age. */
const upload = `
name="$(date -u +%Y-%m-%dT%H-%M-%SZ).rdb"
mc cp --quiet /backup/dump.rdb "$FOLDER/$name"
mc find "$FOLDER" --name '*.rdb' | sort -r | tail -n "+$((KEEP + 1))" > /tmp/old
while read -r old; do mc rm "$old"; done < /tmp/old
echo "backup $name"
`.trim();

const fetch = `
if ! mc stat "$FOLDER/$FROM" > /dev/null 2>&1; then
  echo "there is no backup $FROM; there are:"
  mc find "$FOLDER" --name '*.rdb' --print '{base}' | sort
  exit 1
fi
mc cp --quiet "$FOLDER/$FROM" /backup/dump.rdb
`.trim();

/**
 * The backup is loaded into a server beside Redis, which becomes its replica for as long as it takes: Redis drops what
 * it has when it has received all, and goes on as before if it does not come to that. Clients can read meanwhile.
 */
const restore = (password: SecretKey) =>
  `
umask 077
{
${redisLogin("REDISCLI_AUTH", password)}
} > /tmp/redis.conf
redis-server /tmp/redis.conf --port 6380 --dir /backup --dbfilename dump.rdb --save "" --appendonly no > /tmp/log &
beside() { redis-cli --no-auth-warning -e -p 6380 "$@"; }
redis() { redis-cli --no-auth-warning -e -h "$REDIS_HOST" "$@"; }
until test "$(beside ping 2> /dev/null)" = PONG; do
  kill -0 $! || { cat /tmp/log; exit 1; }
  sleep 1
done
beside info keyspace
# Whatever happens, Redis takes writes again.
trap 'redis replicaof no one' EXIT
redis replicaof "$POD_IP" 6380
until redis info replication | grep -q '^master_link_status:up'; do
  kill -0 $! || { cat /tmp/log; exit 1; }
  sleep 1
done
echo "restored"
`.trim();
