import { bytes, mebibytes } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import type { BucketConnection, CatalogConnection } from "../kit/connection.ts";

/*
 * Spark's configuration files and the probe of its workers. Pure functions.
 */

export const ports = { master: { rpc: 7077, ui: 8080 }, worker: { rpc: 7078, ui: 8081 } };

/** Readiness of a worker: it is registered with the master. With a wrong secret it never becomes ready. */
export const registeredProbe = `
exec 3<>/dev/tcp/127.0.0.1/${ports.worker.ui}
printf 'GET /json/ HTTP/1.0\\r\\n\\r\\n' >&3
grep -q '"masterurl" : "spark://' <&3
`.trim();

/** A Kubernetes quantity in Spark's notation, which has no Gi: Spark's `m` is a mebibyte. */
export const sparkMemory = (size: string): string => `${mebibytes(bytes(size))}m`;

/** A file of properties. */
const properties = (values: Record<string, string>): string =>
  Object.entries(values)
    .map(([key, value]) => `${key} ${value}\n`)
    .join("");

/** Settings that master, workers and applications must share. */
const common = (page: string | undefined) => ({
  "spark.authenticate": "true",
  // The web pages have no authentication, so they must not stop applications.
  "spark.ui.killEnabled": "false",
  // The master's page proxies those of workers and applications, whose addresses are reachable only in the cluster.
  "spark.ui.reverseProxy": "true",
  // The address that people type, for links and redirects.
  ...(page && { "spark.ui.reverseProxyUrl": page }),
});

/** `spark-defaults.conf` of master and workers. */
export const daemonFiles = (page: string | undefined) => ({
  "spark-defaults.conf": properties({
    ...common(page),
    // The REST server accepts applications without authentication.
    "spark.master.rest.enabled": "false",
    // Workers keep the Service's address: the master announces its pod's address, which changes with the pod.
    "spark.worker.preferConfiguredMasterAddress": "true",
    // Metrics on the web UI's port. The master has two sets, its own and its applications'.
    "spark.metrics.conf.*.sink.prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
    "spark.metrics.conf.*.sink.prometheusServlet.path": "/metrics/prometheus",
    "spark.metrics.conf.master.sink.prometheusServlet.path": "/metrics/master/prometheus",
    "spark.metrics.conf.applications.sink.prometheusServlet.path": "/metrics/applications/prometheus",
    // Remove files of finished applications after a day (seconds).
    "spark.worker.cleanup.enabled": "true",
    "spark.worker.cleanup.appDataTtl": "86400",
  }),
});

/** Files that an application's driver mounts as /opt/spark/conf. The executors get the properties from the driver. */
export const applicationFiles = (
  url: string,
  { worker }: Config["spark"],
  catalog: CatalogConnection,
  bucket: BucketConnection,
  page: string | undefined,
) => ({
  "spark-defaults.conf": properties({
    "spark.master": url,
    ...common(page),
    // Spark requires a value here, and uses the one of the environment.
    "spark.authenticate.secret": "in-the-environment",
    "spark.executor.memory": sparkMemory(worker.memory),
    // The default is a Hive catalog in the working directory, which is read-only.
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
  // A driver announces its host name to its executors. The default, the pod's name, resolves only in the pod.
  "spark-env.sh": `export SPARK_LOCAL_HOSTNAME="$(getent hosts "$HOSTNAME" | head -n 1 | cut -d ' ' -f 1)"\n`,
});
