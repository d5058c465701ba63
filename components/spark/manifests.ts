import { joined, listOf, when } from "../../config/derived.ts";
import { mebibytesOf } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import type { BucketConnection, CatalogConnection } from "../kit/connection.ts";

import { type Notation, withSettings } from "../kit/settings.ts";
import { isDaemonSetting } from "./schema.ts";

/*
 * Spark's configuration files and the probe of its workers. Pure functions.
 */

export const ports = { master: { rpc: 7077, ui: 8080 }, worker: { rpc: 7078, ui: 8081 }, history: { ui: 18080 } };

/** Readiness of a worker: it is registered with the master. With a wrong secret it never becomes ready. */
export const registeredProbe = `
exec 3<>/dev/tcp/127.0.0.1/${ports.worker.ui}
printf 'GET /json/ HTTP/1.0\\r\\n\\r\\n' >&3
grep -q '"masterurl" : "spark://' <&3
`.trim();

/** A Kubernetes quantity in Spark's notation, which has no Gi: Spark's `m` is a mebibyte. */
export const sparkMemory = (size: string): string => `${mebibytesOf(size, 100)}m`;

/** A file of properties. */
const properties = (values: Record<string, string>): string =>
  joined(
    listOf(values, ([key, value]) => `${key} ${value}\n`),
    "",
  );

/** Settings that master, workers and applications must share. */
const common = (page: string) => ({
  "spark.authenticate": "true",
  // The web pages have no authentication, so they must not stop applications.
  "spark.ui.killEnabled": "false",
  // The master's page proxies those of workers and applications, whose addresses are reachable only in the cluster.
  "spark.ui.reverseProxy": "true",
  // The address that people type, for links and redirects.
  ...when(page, () => ({ "spark.ui.reverseProxyUrl": page })),
});

/** As a file of properties has it. */
const notation: Notation = { between: " " };

/** The stack's settings of the master and the workers, or of the applications. */
const own = ({ settings }: Config["spark"], daemons: boolean) =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => isDaemonSetting(name) === daemons));

/** How Spark reaches files of the bucket's storage. */
const s3a = ({ endpoint, region }: BucketConnection) => ({
  "spark.hadoop.fs.s3a.endpoint": endpoint,
  "spark.hadoop.fs.s3a.endpoint.region": region,
  "spark.hadoop.fs.s3a.path.style.access": "true",
  "spark.hadoop.fs.s3a.aws.credentials.provider":
    "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
});

/** The directory of the applications' events: the bucket itself, since the history server requires one that exists. */
const eventDirectory = ({ bucket }: BucketConnection) => `s3a://${bucket}/`;

/** `spark-defaults.conf` of the history server. */
export const historyFiles = ({ history }: Config["spark"], events: BucketConnection) => ({
  "spark-defaults.conf": properties({
    ...s3a(events),
    "spark.history.fs.logDirectory": eventDirectory(events),
    "spark.history.fs.cleaner.enabled": "true",
    "spark.history.fs.cleaner.maxAge": `${history.retention}d`,
    "spark.history.ui.port": String(ports.history.ui),
    "spark.ui.killEnabled": "false",
  }),
});

/** `spark-defaults.conf` of master and workers. */
export const daemonFiles = (config: Config["spark"], page: string) => ({
  "spark-defaults.conf": withSettings(daemonProperties(page), own(config, true), notation),
});

const daemonProperties = (page: string) =>
  properties({
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
  });

/** What applications work with. */
interface Application {
  catalog: CatalogConnection;
  /** Bucket of the catalog's files. */
  bucket: BucketConnection;
  /** Bucket of the applications' events. Undefined: they record none. */
  events: BucketConnection | undefined;
  /** Address of the master's page for people. Empty: it has none. */
  page: string;
}

/** Files that an application's driver mounts as /opt/spark/conf. The executors get the properties from the driver. */
export const applicationFiles = (
  url: string,
  config: Config["spark"],
  { catalog, bucket, events, page }: Application,
) => ({
  "spark-defaults.conf": withSettings(
    properties({
      "spark.master": url,
      ...common(page),
      // Spark requires a value here, and uses the one of the environment.
      "spark.authenticate.secret": "in-the-environment",
      "spark.executor.memory": sparkMemory(config.worker.memory),
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
      ...s3a(bucket),
      ...(events && { "spark.eventLog.enabled": "true", "spark.eventLog.dir": eventDirectory(events) }),
    }),
    own(config, false),
    notation,
  ),
  // A driver announces its host name to its executors. The default, the pod's name, resolves only in the pod.
  "spark-env.sh": `export SPARK_LOCAL_HOSTNAME="$(getent hosts "$HOSTNAME" | head -n 1 | cut -d ' ' -f 1)"\n`,
});
