import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type {
  BucketConnection,
  Endpoint,
  RedisConnection,
  SqlConnection,
  StatsdConnection,
} from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { runOnce } from "../kit/job.ts";
import {
  type Container,
  configFiles,
  drain,
  execProbe,
  httpProbe,
  lenientLiveness,
  limitedAs,
  scratch,
} from "../kit/pod.ts";
import { credentials, password, randomKey, TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import {
  capacity,
  environment,
  examples,
  gitEnvironment,
  type Keys,
  paths,
  ports,
  settings,
  setUp,
} from "./manifests.ts";

/** User and group of the official image. */
const [user, group] = [50000, 0];

/** Asks the scheduler's own server, which listens within the pod. Bash does it without starting another program's runtime. */
const isHealthy = [
  "bash",
  "-c",
  `exec 3<>/dev/tcp/127.0.0.1/${ports.health} && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '`,
];

/** Airflow 3: an API server, scheduler, DAG processor and triggerer, and Celery workers that get their tasks by Redis. */
export class Airflow extends Component {
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["airflow"];
      database: SqlConnection;
      queue: RedisConnection;
      logs: BucketConnection;
      /** Where to tell what it does, if there is anyone to look. */
      statsd?: StatsdConnection;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, database, queue, logs, statsd } = args;
    super("Airflow", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    const { rotation } = config.auth;
    const { git } = config.dags;

    this.admin = credentials(this, "admin", config.auth, () => ({ password: password(this, "admin", rotation) }));
    const keys: Keys = TypedSecret.create(this, "keys", {
      // Never made anew: what is stored encrypted with it could not be read again.
      "fernet-key": randomKey(this, "fernet-key", 32),
      // HS512, which signs with these, wants keys of 64 bytes.
      "jwt-secret": randomKey(this, "jwt-secret", 64, rotation),
      "secret-key": randomKey(this, "secret-key", 64, rotation),
    });

    const configuration = files(
      this,
      "config",
      settings(config.dags, `http://${this.host()}:${ports.http}`, logs, queue, statsd),
    );
    const dags = git ? undefined : (config.dags.configMap ?? files(this, "dags", examples).name);

    const access = git?.existingSecret
      ? TypedSecret.existing<"username" | "password">(this, git.existingSecret, rotation)
      : undefined;

    const env = environment({ database, queue, logs }, keys);
    const limits = capacity(config);
    const image = this.image(config.image);
    const checksums = {
      config: configuration.checksum,
      keys: keys.revision,
      database: database.revision,
      queue: queue.revision,
      logs: logs.revision,
    };
    const mounts = { [paths.config]: "config", [paths.logs]: "logs", "/tmp": "tmp" };
    const volumes = {
      config: configFiles(configuration.name),
      logs: scratch({ size: "1Gi" }),
      tmp: scratch({ size: "1Gi" }),
    };

    const setup = files(this, "setup-script", setUp(this.admin.key("password")));
    const ready = runOnce(
      this,
      "setup",
      {
        user,
        group,
        checksums: { script: setup.checksum, admin: this.admin.revision, database: database.revision },
        containers: {
          airflow: {
            image,
            command: ["python", "/opt/setup/setup.py"],
            env: { ...env, ...limits.setup, ADMIN_PASSWORD: this.admin.key("password") },
            resources: limitedAs(config.apiServer.resources, {
              requests: { cpu: "10m", memory: "256Mi" },
              limits: { memory: "768Mi" },
            }),
            mounts: { ...mounts, "/opt/setup": "setup" },
          },
        },
        volumes: { ...volumes, setup: configFiles(setup.name) },
      },
      { dependsOn: [...database.ready, ...queue.ready] },
    );

    /** One of Airflow's processes. Those that read the DAGs' files are `withDags`. */
    const run = (
      role: string,
      of: {
        command: string[];
        replicas?: number;
        withDags?: boolean;
        gracePeriod?: number;
      } & Pick<Container<string>, "env" | "resources" | "ports" | "startup" | "readiness" | "liveness" | "preStop">,
    ) => {
      const { command, replicas = 1, withDags, gracePeriod, env: own, ...container } = of;
      return deployment<string>(this, {
        suffix: role,
        replicas,
        pod: {
          user,
          group,
          role,
          checksums,
          ...(gracePeriod && { gracePeriod }),
          containers: {
            airflow: {
              image,
              command: ["airflow", ...command],
              env: { ...env, ...own, ...(withDags && gitEnvironment(config.dags, access)) },
              mounts: { ...mounts, ...(withDags && dags && { [paths.dags]: "dags" }) },
              ...container,
            },
          },
          volumes: { ...volumes, ...(withDags && dags && { dags: configFiles(dags) }) },
        },
        // The tables are there before anything looks for them, so no pod needs a container that waits for them.
        dependsOn: [ready, ...queue.ready, ...logs.ready, ...(statsd?.ready ?? [])],
      });
    };
    /** Asks for a process that has no port to ask at. Starting Python for it costs CPU, so not too often. */
    const isAlive = (what: string) => {
      const command = ["python", `${paths.config}/alive.py`, what];
      return {
        startup: execProbe(command, { every: 5, within: 20, failures: 60 }),
        readiness: execProbe(command, { every: 60, within: 20 }),
        liveness: execProbe(command, { every: 60, within: 20, failures: 5 }),
      };
    };

    const { apiServer, scheduler, dagProcessor, triggerer, worker } = config;
    const server = run("api-server", {
      command: ["api-server"],
      replicas: apiServer.replicas,
      resources: apiServer.resources,
      ports: { http: ports.http },
      // The component that tasks speak to is loaded by the first request to it, which takes longer than a task waits.
      startup: httpProbe("/execution/health", "http", { every: 5, within: 60, failures: 60 }),
      readiness: httpProbe("/api/v2/monitor/health", "http", { within: 10 }),
      liveness: httpProbe("/api/v2/version", "http", lenientLiveness),
      preStop: drain,
    });
    run("scheduler", {
      command: ["scheduler"],
      env: limits.scheduler,
      replicas: scheduler.replicas,
      resources: scheduler.resources,
      startup: execProbe(isHealthy, { every: 5, within: 10, failures: 60 }),
      readiness: execProbe(isHealthy, { within: 10 }),
      liveness: execProbe(isHealthy, lenientLiveness),
    });
    run("dag-processor", {
      command: ["dag-processor"],
      withDags: true,
      resources: dagProcessor.resources,
      ...isAlive("DagProcessorJob"),
    });
    run("triggerer", {
      command: ["triggerer"],
      withDags: true,
      resources: triggerer.resources,
      ports: { logs: ports.triggererLogs },
      gracePeriod: 60,
      ...isAlive("TriggererJob"),
    });
    run("worker", {
      command: ["celery", "worker", "--concurrency", String(worker.concurrency)],
      replicas: worker.replicas,
      withDags: true,
      resources: worker.resources,
      ports: { logs: ports.workerLogs },
      // It takes no more tasks and finishes those it has; what runs longer is stopped.
      gracePeriod: 600,
      ...isAlive("worker"),
    });

    service(this, {
      role: "api-server",
      ports: { http: ports.http },
      type: config.service.type,
      workload: server,
    });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.http };
    this.registerOutputs({});
  }
}
