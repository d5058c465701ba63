import * as pulumi from "@pulumi/pulumi";
import { extended, firstOf, itemsWhen, missing, unless, when, whenever } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import type { Queue } from "../kit/autoscaler.ts";
import { Component } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type {
  BucketConnection,
  Endpoint,
  RedisConnection,
  SqlConnection,
  StatsdConnection,
} from "../kit/connection.ts";
import { type DeploymentArgs, deployment } from "../kit/deployment.ts";
import { expose, type Page, urlOf } from "../kit/ingress.ts";
import { runOnce } from "../kit/job.ts";
import type { Connects, Outside } from "../kit/network.ts";
import {
  type Container,
  configFiles,
  drain,
  execProbe,
  httpProbe,
  lenientLiveness,
  limitedAs,
  scratch,
  type Volume,
} from "../kit/pod.ts";
import { credentials, password, randomKey, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { type SetUp, setUpVariables, waitForSetUp } from "../kit/set-up.ts";
import type { SharedPod } from "../kit/shared-pod.ts";
import {
  apiServerPool,
  behindProxy,
  capacity,
  dagVariables,
  environment,
  examples,
  type GitAccess,
  gitEnvironment,
  gitMounts,
  gitVolumes,
  type Keys,
  paths,
  ports,
  probes,
  type Repository,
  settings,
  setUp,
} from "./manifests.ts";
import { withPackages } from "./packages.ts";

/** User and group of the official image. */
const [user, group] = [50000, 0];
/** Airflow looks up its user, and so does ssh, for DAGs from git. */
const userName = "airflow";

const page: Page = { role: "api-server" };
const setupJob = "setup";

/** Requests the scheduler's health endpoint, which listens inside the pod only. Bash does it without the start of a Python runtime. */
const schedulerIsHealthy = [
  "bash",
  "-c",
  `exec 3<>/dev/tcp/127.0.0.1/${ports.health} && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '`,
];

/** What Airflow needs from the platform. */
export interface AirflowArgs extends ComponentArgs<Config["airflow"]> {
  /** The metadata database, which also holds the results of Celery tasks. */
  database: SqlConnection;
  /** The Celery broker. Airflow's login rate limit is counted there too. */
  queue: RedisConnection;
  /** Bucket of the task logs. */
  logs: BucketConnection;
  /** Where Airflow sends its metrics. Default: it sends none. */
  statsd?: StatsdConnection | undefined;
}

/** What the pods of Airflow have in common. */
interface Shared extends SharedPod {
  /** What each pod connects to. */
  connects: Connects[];
  /** The Job that migrates the database, which each process waits for. */
  setUp: SetUp<string>;
  /** What must exist before a pod starts. */
  dependsOn: pulumi.Resource[];
}

/** One of Airflow's long-running processes. */
type Process = {
  /** Arguments of the command `airflow`. */
  command: string[];
  /** Default: 1. */
  replicas?: number;
  /** Default: 30 seconds. */
  gracePeriod?: number;
  /** The files of the DAGs, for a process that reads them. Default: it reads none. */
  dags?: Dags;
  /** Volumes that replace those of all processes. Default: none. */
  volumes?: Record<string, Volume>;
} & Pick<DeploymentArgs<string>, "autoscale" | "queue"> &
  Pick<Container<string>, "env" | "mounts" | "resources" | "ports" | "startup" | "readiness" | "liveness" | "preStop">;

/** The source of the DAGs: variables and files for a git repository, or the files themselves. */
interface Dags {
  env: NonNullable<Container<never>["env"]>;
  /** Path in the container → volume. */
  mounts: Record<string, string>;
  volumes: Record<string, Volume>;
  outside: (Outside | undefined)[];
}

/** Airflow 3: an API server, scheduler, DAG processor and triggerer, and Celery workers that take their tasks from Redis. */
export class Airflow extends Component {
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;

  constructor(name: string, args: AirflowArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config } = args;
    // Connections and variables of DAGs are variables of every container.
    const variables = { ...config, env: extended(config.env, dagVariables(config)) };
    super("Airflow", name, namespace, variables, opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));
    const shared = this.shared(args, this.keys(config.auth.rotation));
    const dags = this.dags(config);

    const migrated = this.setup(args, shared);
    const { queue, logs, statsd } = args;
    const ready = { ...shared, dependsOn: [migrated, ...queue.ready, ...logs.ready, ...(statsd?.ready ?? [])] };
    const server = this.apiServer(config, ready);
    this.scheduler(config, ready);
    this.dagProcessor(config, ready, dags);
    this.triggerer(config, ready, dags);
    this.workers(args, ready, dags);

    const reached = exposed(this, config.service);
    const front = service(this, { role: "api-server", ports: { http: ports.http }, ...reached, workload: server });
    expose(this, page, front);
    this.endpoint = endpoint(this, ports.http);
    this.registerOutputs({});
  }

  private keys(rotation: number): Keys {
    return TypedSecret.create(this, "keys", () => ({
      // Never rotated: what is stored encrypted with it could not be read again.
      "fernet-key": randomKey(this, "fernet-key", 32),
      // Signatures are HS512, for which RFC 7518 requires keys of 64 bytes.
      "jwt-secret": randomKey(this, "jwt-secret", 64, rotation),
      "secret-key": randomKey(this, "secret-key", 64, rotation),
    }));
  }

  private shared({ config, database, queue, logs, statsd }: AirflowArgs, keys: Keys): Shared {
    const api = `http://${this.host()}:${ports.http}`;
    const configuration = files(
      this,
      "config",
      settings(config, { api, page: urlOf(this, page) }, logs, queue, statsd),
    );
    const image = this.image(withPackages(config) ?? config.image);
    return {
      image,
      setUp: {
        job: setupJob,
        version: image,
        database,
        image,
        python: "python",
        folder: paths.config,
        mounts: { [paths.config]: "config" },
      },
      env: environment({ database, queue, logs }, keys),
      checksums: {
        config: configuration.checksum,
        keys: keys.revision,
        database: database.revision,
        queue: queue.revision,
        logs: logs.revision,
      },
      mounts: { [paths.config]: "config", [paths.logs]: "logs", "/tmp": "tmp" },
      volumes: {
        config: configFiles(configuration.name),
        logs: scratch({ size: "1Gi" }),
        tmp: scratch({ size: config.scratch }),
      },
      connects: [
        database,
        queue,
        logs,
        ...(statsd ? [statsd] : []),
        this.serves("api-server", ["http"]),
        // The API server shows the logs of tasks that run.
        this.serves("worker", ["logs"]),
        this.serves("triggerer", ["logs"]),
      ],
      dependsOn: [...database.ready, ...queue.ready],
    };
  }

  private dags({ dags, auth }: Config["airflow"]): Dags {
    const { git, configMap } = dags;
    const own = unless(git, () => unless(configMap, () => files(this, "dags", examples).name));
    const mounted = pulumi.output(own ?? "").apply((name) => firstOf(configMap, name));
    const access = git && this.gitAccess(git, auth.rotation);
    return {
      env: when(git, (source) => gitEnvironment(source, access)),
      outside: [whenever(git, ({ repository }) => ({ what: "git repository", url: repository }))],
      mounts: {
        ...when(missing(git), () => ({ [paths.dags]: "dags" })),
        ...when(git, (source) => gitMounts(source, access)),
      },
      volumes: {
        ...when(missing(git), () => ({ dags: configFiles(mounted) })),
        ...when(git, (source) => gitVolumes(source, access)),
      },
    };
  }

  /** The Secret of a repository; undefined if it is read without one. */
  private gitAccess({ existingSecret }: Repository, rotation: number): GitAccess | undefined {
    return whenever(existingSecret, (name) =>
      TypedSecret.existing<"username" | "password" | "ssh-privatekey" | "known_hosts">(this, name, rotation),
    );
  }

  /** The Job that migrates the database and writes the user `admin`. */
  private setup({ config, database }: AirflowArgs, shared: Shared): pulumi.Resource {
    const script = files(this, "setup-script", setUp(this.admin.key("password"), config.pools));
    return runOnce(
      this,
      setupJob,
      {
        user,
        group,
        userName,
        connects: shared.connects,
        checksums: { script: script.checksum, admin: this.admin.revision, database: database.revision },
        containers: {
          airflow: {
            image: shared.image,
            command: ["python", "/opt/setup/setup.py"],
            env: {
              ...shared.env,
              ...capacity(config).setup,
              ...setUpVariables(this, shared.setUp),
              ADMIN_PASSWORD: this.admin.key("password"),
            },
            resources: limitedAs(config.apiServer.resources, {
              requests: { cpu: "10m", memory: "256Mi" },
              limits: { memory: "768Mi" },
            }),
            mounts: { ...shared.mounts, "/opt/setup": "setup" },
          },
        },
        volumes: { ...shared.volumes, setup: configFiles(script.name) },
      },
      { dependsOn: shared.dependsOn },
    );
  }

  private apiServer({ apiServer }: Config["airflow"], shared: Shared) {
    return this.process("api-server", shared, {
      command: ["api-server", ...itemsWhen(urlOf(this, page), () => ["--proxy-headers"])],
      env: { ...apiServerPool, ...when(urlOf(this, page), () => behindProxy) },
      mounts: { [`${paths.plugins}/request_limit.py`]: { volume: "config", subPath: "request_limit.py" } },
      replicas: apiServer.replicas,
      resources: apiServer.resources,
      ports: { http: ports.http },
      // The first request loads the API that tasks call, which takes longer than a task waits. So the probe makes it.
      startup: httpProbe(probes.startup, "http", { every: 5, within: 60, failures: 60 }),
      readiness: httpProbe(probes.readiness, "http", { within: 10 }),
      // Asks for no connection to the database, and is not behind the limit of requests: a busy server is not restarted.
      liveness: httpProbe(probes.liveness, "http", lenientLiveness),
      preStop: drain,
    });
  }

  private scheduler(config: Config["airflow"], shared: Shared) {
    return this.process("scheduler", shared, {
      command: ["scheduler"],
      env: capacity(config).scheduler,
      replicas: config.scheduler.replicas,
      resources: config.scheduler.resources,
      startup: execProbe(schedulerIsHealthy, { every: 5, within: 10, failures: 60 }),
      readiness: execProbe(schedulerIsHealthy, { within: 10 }),
      liveness: execProbe(schedulerIsHealthy, lenientLiveness),
    });
  }

  private dagProcessor({ dagProcessor }: Config["airflow"], shared: Shared, dags: Dags) {
    return this.process("dag-processor", shared, {
      command: ["dag-processor"],
      dags,
      resources: dagProcessor.resources,
      ...isAlive("DagProcessorJob"),
    });
  }

  private triggerer({ triggerer }: Config["airflow"], shared: Shared, dags: Dags) {
    return this.process("triggerer", shared, {
      command: ["triggerer"],
      dags,
      resources: triggerer.resources,
      ports: { logs: ports.triggererLogs },
      gracePeriod: 60,
      ...isAlive("TriggererJob"),
    });
  }

  private workers({ config: { worker }, database }: AirflowArgs, shared: Shared, dags: Dags) {
    return this.process("worker", shared, {
      // Gossip is about the heartbeats that celery_consumer.py leaves out.
      command: ["celery", "worker", "--without-gossip", "--concurrency", String(worker.concurrency)],
      replicas: worker.replicas,
      autoscale: worker.autoscale,
      queue: tasks(database),
      dags,
      volumes: { logs: scratch({ size: worker.logs }) },
      resources: worker.resources,
      ports: { logs: ports.workerLogs },
      // On SIGTERM a worker takes no more tasks and finishes those it has. A task that needs longer is killed.
      gracePeriod: 600,
      ...isAlive("worker"),
    });
  }

  private process(role: string, shared: Shared, process: Process) {
    const { command, replicas = 1, autoscale, queue, dags, gracePeriod, env, mounts, volumes, ...container } = process;
    const { image, setUp, checksums, connects, dependsOn } = shared;
    return deployment<string>(this, {
      suffix: role,
      replicas,
      autoscale,
      waitsForJob: true,
      ...(queue && { queue }),
      pod: {
        user,
        group,
        userName,
        role,
        checksums,
        connects,
        outside: dags?.outside ?? [],
        ...(gracePeriod && { gracePeriod }),
        init: waitForSetUp(this, setUp, container.resources),
        containers: {
          airflow: {
            image,
            command: ["airflow", ...command],
            env: { ...shared.env, ...env, ...dags?.env },
            mounts: { ...shared.mounts, ...mounts, ...dags?.mounts },
            ...container,
          },
        },
        volumes: { ...shared.volumes, ...dags?.volumes, ...volumes },
      },
      dependsOn,
    });
  }
}

/** The tasks that wait for a worker or have one. Those that run count too, so that their workers stay. */
const tasks = ({ host, port, database, username, password, server }: SqlConnection): Queue => ({
  trigger: "postgresql",
  metadata: (each) => ({
    host,
    port: String(port),
    dbName: database,
    sslmode: "disable",
    query: "SELECT count(*) FROM task_instance WHERE state IN ('queued', 'running')",
    targetQueryValue: String(each),
  }),
  credentials: { userName: username, password },
  server,
});

/** The probes of a process without a port. Each starts Python, which costs CPU, so they run once a minute. */
function isAlive(process: string) {
  const command = ["python", `${paths.config}/alive.py`, process];
  return {
    startup: execProbe(command, { every: 5, within: 20, failures: 60 }),
    readiness: execProbe(command, { every: 60, within: 20 }),
    liveness: execProbe(command, { every: 60, within: 20, failures: 5 }),
  };
}
