import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { type ConfigFiles, files } from "../kit/config.ts";
import type { BucketConnection, CatalogConnection, Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { expose, type Page, urlOf } from "../kit/ingress.ts";
import { share } from "../kit/jvm.ts";
import type { Connects } from "../kit/network.ts";
import { configFiles, execProbe, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { credentials, password, type TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { applicationFiles, daemonFiles, historyFiles, ports, registeredProbe, sparkMemory } from "./manifests.ts";

/** User and group `spark` of the official image. */
const user = 185;
/** Hadoop, in every process of Spark, looks up its user. */
const userName = "spark";
/** The image's entrypoint: tini as PID 1 reaps the Python processes that executors leave behind. */
const sparkClass = ["/usr/bin/tini", "--", "/opt/spark/bin/spark-class"];
/** Role of the drivers' pods, which users create with the labels of this component. */
const driver = "driver";
/** Heap of the worker daemon, which only starts and supervises executors. */
const workerHeap = "192m";

const page: Page = { role: "master", port: "ui", withoutLogin: "spark" };

export interface SparkArgs extends ComponentArgs<Config["spark"]> {
  /** Iceberg catalog, `lakehouse` in Spark SQL. */
  catalog: CatalogConnection;
  /** Bucket of the catalog's files. Its keys are in the executors' environment. */
  bucket: BucketConnection;
  /** Bucket of the applications' events, which a history server shows. Default: none, and no server. */
  events?: BucketConnection | undefined;
}

/**
 * A Spark standalone cluster: a master, and workers that run the executors of applications. Drivers are pods of their
 * own. Master, workers and drivers authenticate by one shared secret.
 */
export class Spark extends Component {
  override readonly metrics: Metrics[] = [
    { role: "master", port: "ui", path: "/metrics/master/prometheus/" },
    { role: "worker", port: "ui", path: "/metrics/prometheus/" },
  ];
  readonly endpoint: Endpoint;
  /** The shared secret. */
  readonly admin: TypedSecret<"secret">;

  constructor(name: string, args: SparkArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, catalog, bucket } = args;
    super("Spark", name, namespace, config, opts);
    const url = `spark://${this.host()}:${ports.master.rpc}`;
    this.admin = credentials(this, "admin", config.auth, () => ({
      secret: password(this, "admin", config.auth.rotation),
    }));
    const configuration = files(this, "config", daemonFiles(config, urlOf(this, page)));
    files(
      this,
      "application",
      applicationFiles(url, config, { catalog, bucket, events: args.events, page: urlOf(this, page) }),
    );
    namespace.network.add({
      name: `${name}/${driver}`,
      pods: this.serves(driver, "any").server.pods,
      ports: {},
      connects: [...this.dataOf(args), this.serves("worker", "any")].map(({ server }) => server),
      outside: [],
    });
    const master = this.master(config, configuration);
    const reached = exposed(this, config.service);
    const front = service(this, { role: "master", ports: ports.master, ...reached, workload: master });
    expose(this, page, front);
    this.workers(args, configuration, url, [master, front]);
    if (args.events) this.history(config, args.events);
    this.endpoint = endpoint(this, ports.master.rpc);
    this.registerOutputs({});
  }

  /** What an application connects to, in its driver and its executors. */
  private dataOf({ catalog, bucket }: Pick<SparkArgs, "catalog" | "bucket">): Connects[] {
    return [this.serves("master", ["rpc"]), catalog, bucket];
  }

  private master({ image, master }: Config["spark"], configuration: ConfigFiles) {
    return deployment(this, {
      suffix: "master",
      // A master keeps its state in memory: a second one would be another cluster.
      replicas: 1,
      pod: {
        user,
        userName,
        role: "master",
        // Its page shows those of workers and drivers, as a proxy.
        connects: [this.serves("worker", ["rpc", "ui"]), this.serves(driver, "any")],
        checksums: { config: configuration.checksum, admin: this.admin.revision },
        containers: {
          master: {
            image: this.image(image),
            // Without --host it binds to the pod's IP and announces that: a pod has no resolvable name.
            command: [...sparkClass, "org.apache.spark.deploy.master.Master"],
            args: ["--port", `${ports.master.rpc}`, "--webui-port", `${ports.master.ui}`],
            env: {
              ...this.authentication(),
              SPARK_DAEMON_MEMORY: share(master.resources.limits.memory, 50),
              SPARK_DAEMON_JAVA_OPTS: "-XX:+ExitOnOutOfMemoryError",
              HOME: "/tmp",
            },
            ports: ports.master,
            resources: master.resources,
            mounts: { "/opt/spark/conf": "config", "/tmp": "tmp" },
            startup: httpProbe("/json/", "ui", { every: 2, failures: 150 }),
            readiness: httpProbe("/json/", "ui"),
            liveness: httpProbe("/json/", "ui", lenientLiveness),
          },
        },
        volumes: { config: configFiles(configuration.name), tmp: scratch({ size: "256Mi" }) },
      },
    });
  }

  private workers(
    { config: { image, worker }, catalog, bucket }: SparkArgs,
    configuration: ConfigFiles,
    masterUrl: string,
    dependsOn: pulumi.Resource[],
  ) {
    return deployment(this, {
      suffix: "worker",
      replicas: worker.replicas,
      pod: {
        user,
        userName,
        role: "worker",
        // Executors run here. They exchange data with each other and with drivers on ports that the system picks.
        connects: [...this.dataOf({ catalog, bucket }), this.serves("worker", "any"), this.serves(driver, "any")],
        checksums: { config: configuration.checksum, admin: this.admin.revision, bucket: bucket.revision },
        containers: {
          worker: {
            image: this.image(image),
            command: [...sparkClass, "org.apache.spark.deploy.worker.Worker"],
            args: [
              ...["--port", `${ports.worker.rpc}`, "--webui-port", `${ports.worker.ui}`],
              ...["--cores", `${worker.cores}`, "--memory", sparkMemory(worker.memory)],
              ...["--work-dir", "/opt/spark/work/applications", masterUrl],
            ],
            env: {
              ...this.authentication(),
              // Executors inherit the worker's environment, and the AWS SDK reads its keys there.
              AWS_ACCESS_KEY_ID: bucket.accessKey,
              AWS_SECRET_ACCESS_KEY: bucket.secretKey,
              SPARK_DAEMON_MEMORY: workerHeap,
              SPARK_DAEMON_JAVA_OPTS: "-XX:+ExitOnOutOfMemoryError",
              SPARK_LOCAL_DIRS: "/opt/spark/work/local",
              HOME: "/tmp",
            },
            ports: ports.worker,
            resources: worker.resources,
            mounts: { "/opt/spark/conf": "config", "/opt/spark/work": "work", "/tmp": "tmp" },
            startup: httpProbe("/json/", "ui", { every: 2, failures: 150 }),
            readiness: execProbe(["bash", "-c", registeredProbe], { within: 10 }),
            liveness: httpProbe("/json/", "ui", lenientLiveness),
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          work: scratch({ size: worker.scratch }),
          tmp: scratch({ size: "256Mi" }),
        },
      },
      // Only the master: applications, not workers, use the catalog and the bucket.
      dependsOn,
    });
  }

  /** The history server: what applications did, when they are over. It reads their events from the bucket. */
  private history(config: Config["spark"], events: BucketConnection) {
    const { resources } = config.history;
    const configuration = files(this, "history", historyFiles(config, events));
    const server = deployment(this, {
      suffix: "history",
      replicas: 1,
      pod: {
        user,
        userName,
        role: "history",
        connects: [events],
        checksums: { config: configuration.checksum, events: events.revision },
        containers: {
          history: {
            image: this.image(config.image),
            command: [...sparkClass, "org.apache.spark.deploy.history.HistoryServer"],
            env: {
              AWS_ACCESS_KEY_ID: events.accessKey,
              AWS_SECRET_ACCESS_KEY: events.secretKey,
              SPARK_DAEMON_MEMORY: share(resources.limits.memory, 60),
              SPARK_DAEMON_JAVA_OPTS: "-XX:+ExitOnOutOfMemoryError",
              HOME: "/tmp",
            },
            ports: ports.history,
            resources,
            mounts: { "/opt/spark/conf": "config", "/tmp": "tmp" },
            startup: httpProbe("/api/v1/version", "ui", { every: 2, failures: 150 }),
            readiness: httpProbe("/api/v1/version", "ui"),
            liveness: httpProbe("/api/v1/version", "ui", lenientLiveness),
          },
        },
        volumes: { config: configFiles(configuration.name), tmp: scratch({ size: "1Gi" }) },
      },
      dependsOn: events.ready,
    });
    service(this, {
      suffix: "history",
      role: "history",
      ports: ports.history,
      ...exposed(this, config.service),
      workload: server,
    });
  }

  /** The shared secret for a master or a worker. The other ways, an argument and a properties file, would expose it. */
  private authentication() {
    return { _SPARK_AUTH_SECRET: this.admin.key("secret") };
  }
}
