import type * as pulumi from "@pulumi/pulumi";
import { derived, either, firstOf, whenever } from "../../config/derived.ts";
import { tagOf } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, labelValue } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { expose, reachedBy } from "../kit/ingress.ts";
import { gunicorn } from "../kit/listen.ts";
import { type Container, drain, execProbe, httpProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { credentials, password, type TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { claim } from "../kit/storage.ts";
import { maxMemory, redisConf, redisPod, redisPort } from "../redis/server.ts";
import { type Backups, backups, restoreServer } from "./backups.ts";

const ports = { http: 5000 };
/** An id that no account of a node has. The files of the image are readable by any user. */
const user = 10001;

/** What the web app needs from the platform. */
export interface WebAppArgs extends ComponentArgs<Config["webApp"]> {
  /** Where backups of Redis go. Default: there are no backups. */
  backups?: Backups | undefined;
}

/** What every pod of the image has in common. */
interface Shared {
  image: pulumi.Input<string>;
  env: NonNullable<Container<never>["env"]>;
  mounts: { "/tmp": "tmp" };
}

const volumes = { tmp: scratch({ size: "16Mi", memory: true }) };

/**
 * An API that takes jobs, workers that run them, and a Redis between the two. Its objects are named by environment and kind,
 * `app-test-deployment-flask`, so that environments side by side are easy to tell apart.
 */
export class WebApp extends Component {
  override readonly configKey = "webApp";
  readonly endpoint: Endpoint;
  /** Redis' password. */
  readonly admin: TypedSecret<"password">;

  constructor(name: string, args: WebAppArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config } = args;
    const environment = firstOf(config.environment, namespace.stack);
    super("WebApp", name, namespace, config, opts, {
      prefix: `app-${environment}`,
      labels: (role) => ({
        app: name,
        environment,
        ...(role && { role }),
        // Redis has a version of its own: a new version of the application does not restart it.
        ...(role === "redis" && { "app.kubernetes.io/version": labelValue(tagOf(config.redis.image)) }),
      }),
    });

    this.admin = credentials(this, "secret-redis", config.auth, () => ({
      password: password(this, "secret-redis", config.auth.rotation),
    }));
    const shared = this.shared(config);
    const redis = this.redis(config, args.backups);
    const flask = this.flask(config, shared, redis);
    this.workers(config, shared, redis);
    whenever(config.debug, () => this.debugShell(config, shared));
    this.fronts(config, flask);
    whenever(args.backups, (given) =>
      backups(this, config, { ...given, environment, admin: this.admin, dependsOn: redis }),
    );

    this.endpoint = endpoint(this, ports.http, "service-flask");
    this.registerOutputs({});
  }

  private shared({ image }: Config["webApp"]): Shared {
    return {
      image: this.image(image),
      env: {
        REDIS_HOST: this.host("service-redis"),
        REDIS_PORT: String(redisPort),
        REDIS_PASSWORD: this.admin.key("password"),
      },
      mounts: { "/tmp": "tmp" },
    };
  }

  /** Redis and its Service. Returns both: clients depend on them. */
  private redis(config: Config["webApp"], backups: WebAppArgs["backups"]): pulumi.Resource[] {
    const configuration = files(this, "config-redis", redisConf(snapshotsAndMemory(config.redis)));
    const volume = claim(this, "pvc-redis", config.storage);
    const pod = redisPod(this, {
      role: "redis",
      image: config.redis.image,
      resources: config.redis.resources,
      admin: this.admin,
      configuration,
      replicates: true,
      locksVolume: true,
    });
    const workload = deployment(this, {
      suffix: "deployment-redis",
      replicas: 1,
      upgrade: "recreate",
      pod: {
        ...pod,
        // It becomes a replica of the restore's server.
        connects: [whenever(backups, () => restoreServer(this))],
        volumes: { data: { persistentVolumeClaim: { claimName: volume.metadata.name } }, ...pod.volumes },
      },
      dependsOn: [volume],
    });
    const front = service(this, { suffix: "service-redis", role: "redis", ports: { redis: redisPort }, workload });
    return [workload, front];
  }

  private flask({ flask }: Config["webApp"], shared: Shared, dependsOn: pulumi.Resource[]) {
    return deployment(this, {
      suffix: "deployment-flask",
      replicas: flask.replicas,
      pod: {
        user,
        role: "flask",
        connects: [this.serves("redis", ["redis"])],
        checksums: { redis: this.admin.revision },
        gracePeriod: 45,
        containers: {
          flask: {
            ...shared,
            command: gunicorn(ports.http),
            // Workers write their heartbeats to /tmp: in memory, since a write to a disk may block.
            args: ["--threads", "8", "--worker-tmp-dir", "/tmp", "--no-control-socket", "web_app.api:create_app()"],
            ports,
            resources: flask.resources,
            startup: httpProbe("/help", "http", { every: 2, failures: 150 }),
            // Includes Redis. Liveness does not: a restart of this server does not repair Redis.
            readiness: httpProbe("/healthz", "http"),
            liveness: httpProbe("/help", "http", lenientLiveness),
            preStop: drain,
          },
        },
        volumes,
      },
      dependsOn,
    });
  }

  private workers({ worker }: Config["webApp"], shared: Shared, dependsOn: pulumi.Resource[]) {
    return deployment(this, {
      suffix: "deployment-worker",
      replicas: worker.replicas,
      autoscale: worker.autoscale,
      pod: {
        user,
        role: "worker",
        connects: [this.serves("redis", ["redis"])],
        checksums: { redis: this.admin.revision },
        // On SIGTERM it takes no more jobs and finishes the one it has. If that needs longer, another worker repeats it.
        gracePeriod: 75,
        containers: {
          worker: {
            ...shared,
            command: ["python", "-m", "web_app.worker"],
            resources: worker.resources,
            startup: execProbe(["sh", "-c", aliveLately], { every: 2, failures: 150 }),
            liveness: execProbe(["sh", "-c", aliveLately], { every: 30 }),
          },
        },
        volumes,
      },
      dependsOn,
    });
  }

  /** A pod that idles, for `kubectl exec` into Python with access to Redis. */
  private debugShell({ worker }: Config["webApp"], shared: Shared): void {
    deployment(this, {
      suffix: "deployment-debug",
      replicas: 1,
      pod: {
        user,
        role: "debug",
        connects: [this.serves("redis", ["redis"])],
        checksums: { redis: this.admin.revision },
        // It has no work to finish.
        gracePeriod: 1,
        containers: {
          python: {
            ...shared,
            command: ["sleep", "infinity"],
            resources: limitedAs(worker.resources, {
              requests: { cpu: "5m", memory: "16Mi" },
              limits: { memory: "192Mi" },
            }),
            startup: execProbe(["python", "-c", "import web_app.store"], { failures: 30 }),
            liveness: execProbe(["python", "-c", "import web_app.store"], { every: 60, within: 10 }),
          },
        },
        volumes,
      },
    });
  }

  /** The Services and the Ingress of the API. A LoadBalancer replaces the internal Service, a NodePort is one more. */
  private fronts(config: Config["webApp"], workload: pulumi.Resource): void {
    const { type, annotations } = exposed(this, { ...config.service, type: reachedBy(this, config.service) });
    const api = { role: "flask", ports, workload, annotations };
    const onNodes = isNodePort(type);
    const internal = either(
      onNodes,
      () => "ClusterIP",
      () => type,
    );
    const front = service(this, { ...api, suffix: "service-flask", type: internal });
    whenever(onNodes, () => service(this, { ...api, suffix: "service-nodeport-flask", type }));
    expose(this, { suffix: "ingress-flask", role: "flask", withoutLogin: "webApp", own: config.ingress }, front);
  }
}

const isNodePort = derived("isNodePort", (type: string): boolean => type === "NodePort");

/** The worker touches the file between two jobs and, until a job's time limit, during one. */
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
