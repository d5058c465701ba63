import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import { bytes, mebibytes } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { BucketConnection, CatalogConnection, Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { share } from "../kit/jvm.ts";
import { configFiles, execProbe, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { credentials, password, type TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";

const ports = { master: { rpc: 7077, ui: 8080 }, worker: { rpc: 7078, ui: 8081 } };
/** User and group `spark` of the official image. */
const user = 185;
/** As the official image starts it: below tini, which reaps the Python processes that executors leave behind. */
const sparkClass = ["/usr/bin/tini", "--", "/opt/spark/bin/spark-class"];
/** Heap of a worker itself, which starts executors and watches them. */
const workerHeap = "192m";

/**
 * A Spark cluster of its own kind ("standalone"): a master, and workers that run the executors of applications whose
 * drivers are pods elsewhere. They all share one secret; who has it not is refused.
 */
export class Spark extends Component {
  override readonly metrics: Metrics[] = [
    { role: "master", port: "ui", path: "/metrics/master/prometheus/" },
    { role: "worker", port: "ui", path: "/metrics/prometheus/" },
  ];
  readonly endpoint: Endpoint;
  /** What the master, the workers and the applications prove to each other. */
  readonly admin: TypedSecret<"secret">;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["spark"];
      catalog: CatalogConnection;
      bucket: BucketConnection;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, catalog, bucket } = args;
    super("Spark", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    const { master, worker } = config;
    const image = this.image(config.image);
    const url = `spark://${this.host()}:${ports.master.rpc}`;

    this.admin = credentials(this, "admin", config.auth, () => ({
      secret: password(this, "admin", config.auth.rotation),
    }));
    // The only way to hand the secret to a master or a worker that is no argument and no file of properties.
    const authentication = { _SPARK_AUTH_SECRET: this.admin.key("secret") };
    const configuration = files(this, "config", { "spark-defaults.conf": properties(daemons) });
    files(this, "application", application(url, config, catalog, bucket));

    const server = deployment(this, {
      suffix: "master",
      // It keeps what it knows in memory: a second one would be a second cluster.
      replicas: 1,
      pod: {
        user,
        role: "master",
        checksums: { config: configuration.checksum, admin: this.admin.revision },
        containers: {
          master: {
            image,
            // Without a host they bind to the pod's address and give that to others: it needs no name to be found by.
            command: [...sparkClass, "org.apache.spark.deploy.master.Master"],
            args: ["--port", `${ports.master.rpc}`, "--webui-port", `${ports.master.ui}`],
            env: {
              ...authentication,
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
    const front = service(this, {
      role: "master",
      ports: ports.master,
      type: config.service.type,
      workload: server,
    });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.master.rpc };

    deployment(this, {
      suffix: "worker",
      replicas: worker.replicas,
      pod: {
        user,
        role: "worker",
        checksums: { config: configuration.checksum, admin: this.admin.revision, bucket: bucket.revision },
        containers: {
          worker: {
            image,
            command: [...sparkClass, "org.apache.spark.deploy.worker.Worker"],
            args: [
              ...["--port", `${ports.worker.rpc}`, "--webui-port", `${ports.worker.ui}`],
              ...["--cores", `${worker.cores}`, "--memory", sparkMemory(worker.memory)],
              ...["--work-dir", "/opt/spark/work/applications", url],
            ],
            env: {
              ...authentication,
              // Executors have their worker's environment, where the AWS SDK looks first.
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
            readiness: execProbe(["bash", "-c", registered], { within: 10 }),
            liveness: httpProbe("/json/", "ui", lenientLiveness),
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          work: scratch({ size: worker.scratch }),
          tmp: scratch({ size: "256Mi" }),
        },
      },
      // Applications use the catalog and the bucket; a worker needs its master alone.
      dependsOn: [server, front],
    });
    this.registerOutputs({});
  }
}

/** Whether the worker has a master: one with another secret never becomes ready. */
const registered = `
exec 3<>/dev/tcp/127.0.0.1/${ports.worker.ui}
printf 'GET /json/ HTTP/1.0\\r\\n\\r\\n' >&3
grep -q '"masterurl" : "spark://' <&3
`.trim();

/** Spark's own unit: what it calls 1g is 1 GiB, and it knows no Gi. */
const sparkMemory = (size: string): string => `${mebibytes(bytes(size))}m`;

const properties = (values: Record<string, string>): string =>
  Object.entries(values)
    .map(([key, value]) => `${key} ${value}\n`)
    .join("");

/** What everyone who takes part has to have alike. */
const common = {
  "spark.authenticate": "true",
  // Pages are for looking: they ask nobody who he is, so they end nothing.
  "spark.ui.killEnabled": "false",
  // The master's page leads to those of the workers and the applications, whose addresses are the cluster's own.
  "spark.ui.reverseProxy": "true",
};

const daemons = {
  ...common,
  // Takes applications from whoever reaches it: it does not know the secret.
  "spark.master.rest.enabled": "false",
  // By the Service, which stays; the address of the master's pod changes with the pod.
  "spark.worker.preferConfiguredMasterAddress": "true",
  // What they tell of themselves, beside their pages; the master's are apart from those of its applications.
  "spark.metrics.conf.*.sink.prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
  "spark.metrics.conf.*.sink.prometheusServlet.path": "/metrics/prometheus",
  "spark.metrics.conf.master.sink.prometheusServlet.path": "/metrics/master/prometheus",
  "spark.metrics.conf.applications.sink.prometheusServlet.path": "/metrics/applications/prometheus",
  // What ended applications leave is removed after a day.
  "spark.worker.cleanup.enabled": "true",
  "spark.worker.cleanup.appDataTtl": "86400",
};

/** What an application's driver mounts as /opt/spark/conf. Its executors get the properties from it. */
const application = (
  url: string,
  { worker }: Config["spark"],
  catalog: CatalogConnection,
  bucket: BucketConnection,
) => ({
  "spark-defaults.conf": properties({
    "spark.master": url,
    ...common,
    // Spark asks for one here, and takes the one in the environment.
    "spark.authenticate.secret": "in-the-environment",
    "spark.executor.memory": sparkMemory(worker.memory),
    // There is no Hive here; its catalog would be files in the working directory, which is read-only.
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.catalog.lakehouse": "org.apache.iceberg.spark.SparkCatalog",
    "spark.sql.catalog.lakehouse.type": "rest",
    "spark.sql.catalog.lakehouse.uri": catalog.uri,
    "spark.sql.catalog.lakehouse.warehouse": catalog.warehouse,
    "spark.sql.catalog.lakehouse.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
    "spark.sql.catalog.lakehouse.s3.endpoint": bucket.endpoint,
    "spark.sql.catalog.lakehouse.s3.path-style-access": "true",
    "spark.sql.catalog.lakehouse.client.region": bucket.region,
    "spark.sql.defaultCatalog": "lakehouse",
    "spark.hadoop.fs.s3a.endpoint": bucket.endpoint,
    "spark.hadoop.fs.s3a.endpoint.region": bucket.region,
    "spark.hadoop.fs.s3a.path.style.access": "true",
    "spark.hadoop.fs.s3a.aws.credentials.provider":
      "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
  }),
  // A driver would give its executors its pod's name, which is no host name anywhere else.
  "spark-env.sh": `export SPARK_LOCAL_HOSTNAME="$(getent hosts "$HOSTNAME" | head -n 1 | cut -d ' ' -f 1)"\n`,
});
