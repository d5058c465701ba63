import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, SqlConnection } from "../kit/connection.ts";
import { runOnce } from "../kit/job.ts";
import { type Container, configFiles, execProbe, httpProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { fingerprint } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { noetlPool } from "../postgresql/connections.ts";
import { applySchema, home, install, isConnected, newest, python, source } from "./manifests.ts";
import type { NatsConnection } from "./nats.ts";
import { mainInstance } from "./schema.ts";
import { port, type StartPlan, startPlan } from "./versions.ts";

/** User and group `noetl` of the image. */
const user = 1000;

/** The volumes of each pod, beside the one for data of those that keep some. */
type Volumes = "venv" | "source" | "scripts" | "home" | "tmp";

/** The database and user of an instance. */
export const databaseOf = (instance: string): `noetl${string}` =>
  instance === mainInstance ? "noetl" : `noetl_${instance}`;

/** One instance of NoETL: a server with its API, and workers that do what its playbooks say. */
export class Noetl extends Component {
  override readonly configKey = "noetl";
  readonly endpoint: Endpoint;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["noetl"];
      instance: Config["noetl"]["instances"][string];
      database: SqlConnection;
      /** Its account of the queue. Versions that have none leave it alone. */
      queue: NatsConnection;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, instance, database, queue } = args;
    // The schema has refused what cannot be started.
    const plan = startPlan(instance.version, { unreleased: true }) as StartPlan;
    super("Noetl", name, namespace, plan.version, opts);

    const image = this.image(config.packageIndex ? config.image : holding(config.image, plan.release));
    const scripts = files(this, "scripts", {
      "newest.py": newest,
      "apply_schema.py": applySchema,
    });

    const { cpu } = config.server.resources.requests;
    /** What every pod of the instance begins with, in a virtual environment that is made anew with the pod. */
    const installs: Container<Volumes> = {
      image,
      command: ["sh", "-eu", "-c", install(instance, plan.version, config.packageIndex !== undefined)],
      env: {
        ...(config.packageIndex ? { PIP_INDEX_URL: config.packageIndex } : { PIP_NO_INDEX: "1" }),
        PIP_NO_CACHE_DIR: "1",
        PIP_DISABLE_PIP_VERSION_CHECK: "1",
        HOME: "/tmp",
      },
      resources: limitedAs(config.server.resources, { requests: { cpu, memory: "64Mi" }, limits: { memory: "512Mi" } }),
      mounts: {
        [`${home}/venv`]: "venv",
        "/tmp": "tmp",
        "/etc/noetl": "scripts",
        [source]: { volume: "source", readOnly: true },
      },
    };
    const volumes = {
      // What the image lacks of a package's dependencies comes on top.
      venv: scratch({ size: "2Gi" }),
      home: scratch({ size: "64Mi" }),
      tmp: scratch({ size: "1Gi" }),
      scripts: configFiles(scripts.name),
      source: instance.path
        ? { persistentVolumeClaim: { claimName: this.claimOf(instance.path) } }
        : scratch({ size: "1Mi" }),
    };
    const mounts = {
      [`${home}/venv`]: { volume: "venv", readOnly: true },
      [`${home}/home`]: "home",
      [`${home}/data`]: { volume: "data", subPath: "data" },
      [`${home}/logs`]: { volume: "data", subPath: "logs" },
      "/tmp": "tmp",
      "/etc/noetl": "scripts",
      [source]: { volume: "source", readOnly: true },
    } as const;
    /** NoETL looks for `data` and `logs` where it is started; in dev mode a change of the code starts it again. */
    const starts = (command: string[]) => {
      const noetl = [python, ...command];
      const all = instance.type === "dev" ? [...restarting, noetl.join(" "), source] : noetl;
      return ["sh", "-c", `cd ${home} && exec "$@"`, "noetl", ...all];
    };
    const url = `http://${this.host()}:${port}`;
    const common = {
      NOETL_SERVER_URL: url,
      HOME: `${home}/home`,
      PYTHONUNBUFFERED: "1",
      ...(plan.needs.nats && {
        NATS_URL: queue.url,
        NATS_USER: queue.username,
        NATS_PASSWORD: queue.password,
        NATS_STREAM: "NOETL_COMMANDS",
        NATS_CONSUMER: "noetl_worker_pool",
        NATS_SUBJECT: "noetl.commands",
      }),
    };
    const checksums = {
      scripts: scripts.checksum,
      ...(plan.needs.nats && { queue: queue.revision }),
    };
    const ready = [...database.ready, ...(plan.needs.nats ? queue.ready : [])];

    const schema =
      plan.schema === "ddl" &&
      runOnce(
        this,
        "schema",
        {
          user,
          checksums: { scripts: scripts.checksum, database: database.revision },
          init: { install: installs },
          containers: {
            schema: {
              image,
              command: [python, "/etc/noetl/apply_schema.py"],
              env: {
                PGHOST: database.host,
                PGPORT: String(database.port),
                PGDATABASE: database.database,
                PGUSER: database.username,
                PGPASSWORD: database.password,
              },
              resources: limitedAs(config.server.resources, {
                requests: { cpu, memory: "64Mi" },
                limits: { memory: "128Mi" },
              }),
              mounts: { [`${home}/venv`]: "venv", "/etc/noetl": "scripts", [source]: "source" },
            },
          },
          volumes,
        },
        { dependsOn: database.ready },
      );

    // Where the log would show a password, there is an empty one in the connection's quotes: the client then looks into a file.
    const passwordFile = `${home}/home/.pgpass`;
    const secret = plan.logsEnvironment ? "''" : database.password;
    const server = stateful<Volumes>(this, {
      replicas: 1,
      ports: { http: port },
      storage: config.storage,
      // A pod that never became ready would otherwise keep its successor from coming.
      parallel: true,
      pod: {
        user,
        role: "server",
        checksums: { ...checksums, database: database.revision },
        init: {
          install: installs,
          ...(plan.logsEnvironment && {
            password: {
              image,
              command: ["sh", "-eu", "-c", `umask 077; echo "*:*:*:*:$PASSWORD" > ${passwordFile}`],
              env: { PASSWORD: database.password },
              resources: limitedAs(config.server.resources, {
                requests: { cpu, memory: "16Mi" },
                limits: { memory: "64Mi" },
              }),
              mounts: { [`${home}/home`]: "home" } as const,
            },
          }),
        },
        containers: {
          server: {
            image,
            command: starts(plan.server),
            env: {
              ...plan.environment,
              ...common,
              NOETL_SERVER_NAME: name,
              NOETL_SCHEMA: "noetl",
              NOETL_POSTGRES_POOL_MAX_SIZE: String(noetlPool.server),
              NOETL_BG_POOL_MAX_SIZE: String(noetlPool.background),
              POSTGRES_HOST: database.host,
              POSTGRES_PORT: String(database.port),
              POSTGRES_DB: database.database,
              // Its administrator to some versions, its user to all: here they are one, who owns the database.
              POSTGRES_USER: database.username,
              POSTGRES_PASSWORD: secret,
              NOETL_USER: database.username,
              NOETL_PASSWORD: secret,
              ...(plan.logsEnvironment && { PGPASSFILE: passwordFile }),
            },
            ports: { http: port },
            resources: config.server.resources,
            mounts,
            startup: httpProbe(plan.health, "http", { every: 2, failures: 150 }),
            readiness: httpProbe(plan.health, "http"),
            liveness: httpProbe(plan.health, "http", lenientLiveness),
          },
        },
        volumes,
      },
      dependsOn: [...ready, ...(schema ? [schema] : [])],
    });
    const front = service(this, {
      role: "server",
      ports: { http: port },
      type: config.service.type,
      workload: server,
    });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port };

    if (plan.worker) {
      const connected = isConnected(plan.needs.nats ? { queue: queue.port } : { server: port });
      stateful<Volumes>(this, {
        suffix: "worker",
        replicas: config.worker.replicas,
        ports: {},
        storage: config.storage,
        parallel: true,
        pod: {
          user,
          role: "worker",
          checksums,
          // It finishes what it has begun.
          gracePeriod: 60,
          init: { install: installs },
          containers: {
            worker: {
              image,
              command: starts(plan.worker),
              // No way into the database: it has the server ask and tell.
              env: { ...plan.workerEnvironment, ...common, NOETL_RUN_MODE: "worker" },
              resources: config.worker.resources,
              mounts,
              startup: execProbe(connected, { every: 2, failures: 150 }),
              readiness: execProbe(connected),
              // After two minutes without the queue the client gives up for good.
              liveness: execProbe(connected, lenientLiveness),
              // To SIGTERM it does not listen; interrupted, it ends what it has begun and signs off. In dev mode what
              // restarts it interrupts it too, and gives it a second.
              ...(instance.type !== "dev" && { preStop: ["sh", "-c", "kill -INT 1"] }),
            },
          },
          volumes,
        },
        dependsOn: [server, front],
      });
    }
    this.registerOutputs({});
  }

  /**
   * The claim by which pods, which may not name a directory of their node, get at one: bound to a volume that does.
   * Named by the path, for neither may be changed afterwards.
   */
  private claimOf(path: string): pulumi.Output<string> {
    const suffix = `source-${fingerprint(path)}`;
    const { name, labels } = this.metadata(suffix);
    const spec = {
      accessModes: ["ReadOnlyMany"],
      // Of no class, so that nobody makes a volume for the claim.
      storageClassName: "",
    };
    const volume = new k8s.core.v1.PersistentVolume(
      this.named("source"),
      {
        metadata: { name: `${this.namespace.name}-${name}`, labels },
        spec: {
          ...spec,
          capacity: { storage: "1Mi" },
          hostPath: { path, type: "Directory" },
          persistentVolumeReclaimPolicy: "Retain",
          claimRef: { namespace: this.namespace.name, name },
        },
      },
      this.child(),
    );
    return new k8s.core.v1.PersistentVolumeClaim(
      this.named("source"),
      {
        metadata: {
          ...this.metadata(suffix),
          // Pulumi would wait for it to be bound, which its pod may do.
          annotations: { "pulumi.com/skipAwait": "true" },
        },
        spec: { ...spec, volumeName: volume.metadata.name, resources: { requests: { storage: "1Mi" } } },
      },
      this.child({ dependsOn: [volume] }),
    ).metadata.name;
  }
}

/** Runs a command again when a file changes. NoETL's server has ended its work within a second and then hangs, so that it is killed. */
const restarting = [
  python,
  "-m",
  "watchfiles",
  "--filter",
  "python",
  "--sigint-timeout",
  "1",
  "--sigkill-timeout",
  "30",
];

/** The image that holds a version: the configured one, by that version's tag where its own is another's. */
function holding(image: string, version: string): string {
  const { tag = "" } = parseImage(image)!;
  return tag === version || tag.startsWith(`${version}-`)
    ? image
    : image.replace(/(:[^:/@]+)?(@[^@]+)?$/, `:${version}`);
}
