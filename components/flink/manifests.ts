import { bothOf, either, when } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { NamespaceContext } from "../kit/component.ts";
import type { BucketConnection, CatalogConnection } from "../kit/connection.ts";
import { share } from "../kit/jvm.ts";
import { type Notation, withSettings } from "../kit/settings.ts";

/*
 * Flink's configuration files, rules and start script. Pure functions.
 */

const metrics = 9249;
export const jobManagerPorts = { rest: 8081, rpc: 6123, blob: 6124, metrics };
export const taskManagerPorts = { data: 6121, rpc: 6122, metrics };
/** Ports between Flink's processes. Fixed, so that a network policy can name them. */
export const internalPorts = { query: 6125, collect: 6126 };
export const home = "/opt/flink";

/** What every process of one Flink cluster must know alike. */
export interface Cluster {
  /** Name of the component, which identifies the cluster in the leader election. */
  name: string;
  /** Host of the REST API. */
  rest: string;
  /** Host of the only JobManager's RPC. Unused with an election. */
  rpc: string;
  /** Namespace of the leader election's ConfigMaps. Undefined: one JobManager, without an election. */
  election: NamespaceContext | undefined;
  /** Bucket of checkpoints and savepoints. */
  bucket: BucketConnection;
}

/** Files of the JobManagers. */
export const jobManagerFiles = (cluster: Cluster, { settings, jobManager }: Config["flink"]) => ({
  ...logging,
  "config.yaml": withSettings(
    `${common(cluster)}${yaml({
      "jobmanager.bind-host": "0.0.0.0",
      "rest.bind-address": "0.0.0.0",
      "jobmanager.memory.process.size": share(jobManager.resources.limits.memory, 100),
    })}`,
    bothOf(settings, jobManager.settings),
    notation,
  ),
});

/** Files of the TaskManagers. */
export const taskManagerFiles = (cluster: Cluster, { settings, taskManager }: Config["flink"]) => ({
  ...logging,
  "config.yaml": withSettings(
    `${common(cluster)}${yaml({
      "taskmanager.bind-host": "0.0.0.0",
      "taskmanager.rpc.port": taskManagerPorts.rpc,
      "taskmanager.data.port": taskManagerPorts.data,
      "taskmanager.collect-sink.port": internalPorts.collect,
      "taskmanager.memory.process.size": share(taskManager.resources.limits.memory, 100),
      "taskmanager.numberOfTaskSlots": taskManager.slots,
    })}`,
    bothOf(settings, taskManager.settings),
    notation,
  ),
});

/** Files of Flink SQL's catalogs, one for each: `lakehouse`, if there is an Iceberg catalog. */
export const catalogFiles = (
  catalog: CatalogConnection | undefined,
  bucket: BucketConnection,
): Record<string, string> => when(catalog, (found) => ({ "lakehouse.yaml": yaml(lakehouse(found, bucket)) }));

/** Links Flink's S3 plugin into the plugin directory: the image ships it elsewhere. */
export const startScript = `
ln -sf ${home}/opt/flink-s3-fs-presto-*.jar ${home}/plugins/s3-fs-presto/
exec "$@"
`.trim();

/**
 * Rules of JobManagers: one ConfigMap for the leader election and one for each job. A job's ConfigMap has a generated
 * name and a Role cannot limit `create` to a name, so the ConfigMaps have their own namespace.
 */
export const jobManagerRule = {
  apiGroups: [""],
  resources: ["configmaps"],
  verbs: ["get", "list", "watch", "create", "update", "patch", "delete"],
};
/** Rules of TaskManagers, which run the jobs' code: they only look up the leader. */
export const taskManagerRule = { ...jobManagerRule, verbs: ["get", "list", "watch"] };

type Settings = Record<string, string | number | boolean>;

/** A setting in a flat YAML file. Flink reads numbers and booleans from texts too. */
const notation: Notation = { between: ": ", quotes: "json" };

/** A flat YAML file. */
const yaml = (settings: Settings) =>
  Object.entries(settings)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join("");

/** Packages that Flink's default configuration exports for Java 17 and newer. */
const exportedPackages = [
  "java.rmi/sun.rmi.registry",
  "jdk.compiler/com.sun.tools.javac.api",
  "jdk.compiler/com.sun.tools.javac.file",
  "jdk.compiler/com.sun.tools.javac.parser",
  "jdk.compiler/com.sun.tools.javac.tree",
  "jdk.compiler/com.sun.tools.javac.util",
  "java.security.jgss/sun.security.krb5",
];
/** Packages of java.base that it opens for reflection. */
const openedPackages = [
  "java.lang",
  "java.net",
  "java.io",
  "java.nio",
  "sun.nio.ch",
  "java.lang.reflect",
  "java.text",
  "java.time",
  "java.util",
  "java.util.concurrent",
  "java.util.concurrent.atomic",
  "java.util.concurrent.locks",
];

/** Settings of every process of one cluster. */
const common = ({ name, rest, rpc, election, bucket }: Cluster): string =>
  yaml({ ...everywhere(bucket), "rest.address": rest }) +
  either(
    election,
    (namespace) => yaml(highAvailability(name, namespace, bucket)),
    () => yaml({ "jobmanager.rpc.address": rpc }),
  );

const everywhere = ({ endpoint, bucket }: BucketConnection): Settings => ({
  "jobmanager.rpc.port": jobManagerPorts.rpc,
  "blob.server.port": jobManagerPorts.blob,
  // Flink's default of 10 s is too short while the whole platform starts on one machine.
  "pekko.startup-timeout": "60 s",
  "rest.port": jobManagerPorts.rest,
  "metrics.internal.query-service.port": internalPorts.query,
  "metrics.reporter.prom.factory.class": "org.apache.flink.metrics.prometheus.PrometheusReporterFactory",
  "metrics.reporter.prom.port": metrics,
  // Flink uses the bucket's keys. Without this it tries to obtain Hadoop's delegation tokens, and warns.
  "security.delegation.tokens.enabled": false,
  "s3.endpoint": endpoint,
  "s3.path.style.access": true,
  "execution.checkpointing.dir": `s3://${bucket}/checkpoints`,
  "execution.checkpointing.savepoint-dir": `s3://${bucket}/savepoints`,
  // A job that was cancelled, or lost with the only JobManager, can restart from its last checkpoint.
  "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
  // Every session has the catalogs of this directory.
  "table.catalog-store.kind": "file",
  "table.catalog-store.file.path": `${home}/catalogs`,
  "io.tmp.dirs": "/tmp",
  // The first option is the S3 plugin's.
  "env.java.opts.all": [
    "-Daws.java.v1.disableDeprecationAnnouncement=true",
    ...exportedPackages.map((name) => `--add-exports=${name}=ALL-UNNAMED`),
    ...openedPackages.map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`),
  ].join(" "),
});

/** The catalog `lakehouse` of Flink SQL. */
const lakehouse = ({ uri, warehouse }: CatalogConnection, { endpoint, region }: BucketConnection): Settings => ({
  type: "iceberg",
  "catalog-type": "rest",
  uri,
  warehouse,
  "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
  "s3.endpoint": endpoint,
  "s3.path-style-access": "true",
  "client.region": region,
});

/** Leader election, and recovery of the jobs by another JobManager. */
const highAvailability = (name: string, election: NamespaceContext, { bucket }: BucketConnection): Settings => ({
  "high-availability.type": "kubernetes",
  "high-availability.storageDir": `s3://${bucket}/high-availability`,
  "high-availability.jobmanager.port": jobManagerPorts.rpc,
  // The namespace of the ConfigMaps. Deployments create the pods, elsewhere.
  "kubernetes.namespace": election.name,
  "kubernetes.cluster-id": name,
});

/** Logs go to the console only: the pod's disk is small. */
const console = `rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
`;
const logging = {
  "log4j-console.properties": console,
  // For the command line tools, which print their results to the standard output.
  "log4j-cli.properties": console
    .replace("INFO", "WARN")
    .replace("CONSOLE", "CONSOLE\nappender.console.target = SYSTEM_ERR"),
};
