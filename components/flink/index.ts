import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { BucketConnection, CatalogConnection, Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { share } from "../kit/jvm.ts";
import { permissions } from "../kit/permissions.ts";
import { configFiles, drain, httpProbe, lenientLiveness, scratch, tcpProbe } from "../kit/pod.ts";
import { headlessService, service } from "../kit/service.ts";
import { serviceAccount } from "../kit/service-account.ts";

const metrics = 9249;
const jobManagerPorts = { rest: 8081, rpc: 6123, blob: 6124, metrics };
const taskManagerPorts = { data: 6121, rpc: 6122, metrics };
/** Between Flink's processes alone, and fixed so that a network policy can name them. */
const inner = { query: 6125, collect: 6126 };
/** User and group `flink` of the official image. */
const user = 9999;
const home = "/opt/flink";

/**
 * A Flink session cluster: JobManagers, which take jobs, and TaskManagers, which run them. Checkpoints and savepoints
 * lie in a bucket, so a job goes on from there when a TaskManager is lost. With more than one JobManager, it also does
 * when a JobManager is: they keep who leads, and which jobs there are, in ConfigMaps. Tables of the Iceberg catalog are
 * in its SQL's catalog `lakehouse`.
 */
export class Flink extends Component {
  override readonly metrics: Metrics[] = ["jobmanager", "taskmanager"].map((role) => ({
    role,
    port: "metrics",
  }));
  readonly endpoint: Endpoint;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["flink"];
      /** Where several JobManagers keep their ConfigMaps: a namespace with nothing of others' in it. */
      election?: NamespaceContext | undefined;
      bucket: BucketConnection;
      /** The Iceberg catalog, if there is one. Its tables' files are in a bucket of the same user. */
      catalog?: CatalogConnection | undefined;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, election, bucket, catalog } = args;
    super("Flink", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    const { jobManager, taskManager } = config;

    // Each kind of pod has a file of its own: more memory for the one does not roll the other.
    const common = {
      ...forAll(bucket),
      "rest.address": this.host(),
      ...(election
        ? highlyAvailable(this.name, election, bucket)
        : { "jobmanager.rpc.address": this.host("jobmanager") }),
    };
    const jobManagerFiles = files(this, "jobmanager", {
      ...logging,
      "config.yaml": yaml({
        ...common,
        ...forJobManagers,
        "jobmanager.memory.process.size": share(jobManager.resources.limits.memory, 100),
      }),
    });
    const taskManagerFiles = files(this, "taskmanager", {
      ...logging,
      "config.yaml": yaml({
        ...common,
        ...forTaskManagers,
        "taskmanager.memory.process.size": share(taskManager.resources.limits.memory, 100),
        "taskmanager.numberOfTaskSlots": taskManager.slots,
      }),
    });

    const catalogs = files(this, "catalogs", catalog ? { "lakehouse.yaml": yaml(lakehouse(catalog, bucket)) } : {});

    const managersMay = election ? permissions(this, [electing], [election]) : [];
    const workersMay = election ? permissions(this, [following], [election], "taskmanager") : [];
    const pod = (configuration: { name: pulumi.Output<string>; checksum: string }) => ({
      user,
      checksums: { config: configuration.checksum, catalogs: catalogs.checksum, bucket: bucket.revision },
      ...(election && { talksToApi: "Flink keeps who leads and which jobs there are in ConfigMaps" }),
      volumes: {
        config: configFiles(configuration.name),
        catalogs: configFiles(catalogs.name),
        plugin: scratch({ size: "1Mi" }),
        tmp: scratch({ size: "10Gi" }),
      },
    });
    const container = {
      image: this.image(config.image),
      command: ["bash", "-eu", "-c", start, "flink"],
      env: {
        FLINK_CONF_DIR: `${home}/conf`,
        FLINK_LOG_DIR: "/tmp",
        HOME: "/tmp",
        POD_IP: { field: "status.podIP" },
        // Where the file systems of checkpoints and of tables look for their keys.
        AWS_ACCESS_KEY_ID: bucket.accessKey,
        AWS_SECRET_ACCESS_KEY: bucket.secretKey,
        // Else the C library keeps freed memory for each thread, which Flink's sums know nothing of.
        MALLOC_ARENA_MAX: "2",
      },
      mounts: {
        [`${home}/conf`]: "config",
        [`${home}/catalogs`]: "catalogs",
        [`${home}/plugins/s3-fs-presto`]: "plugin",
        "/tmp": "tmp",
      } as const,
    };

    const rpc = headlessService(this, {
      suffix: "jobmanager",
      role: "jobmanager",
      ports: { rpc: jobManagerPorts.rpc, blob: jobManagerPorts.blob, metrics },
    });
    const managers = deployment(this, {
      suffix: "jobmanager",
      replicas: jobManager.replicas,
      pod: {
        ...pod(jobManagerFiles),
        role: "jobmanager",
        containers: {
          jobmanager: {
            ...container,
            args: [
              `${home}/bin/jobmanager.sh`,
              "start-foreground",
              ...(election ? ["-D", "jobmanager.rpc.address=$(POD_IP)"] : []),
            ],
            ports: jobManagerPorts,
            resources: jobManager.resources,
            startup: httpProbe("/overview", "rest", { every: 2, failures: 150 }),
            readiness: httpProbe("/overview", "rest"),
            liveness: httpProbe("/overview", "rest", lenientLiveness),
            preStop: drain,
          },
        },
      },
      dependsOn: [rpc, ...managersMay, ...bucket.ready],
    });
    service(this, {
      role: "jobmanager",
      ports: { rest: jobManagerPorts.rest },
      type: config.service.type,
      workload: managers,
    });

    const each = headlessService(this, { suffix: "taskmanager", role: "taskmanager", ports: { metrics } });
    deployment(this, {
      suffix: "taskmanager",
      replicas: taskManager.replicas,
      pod: {
        ...pod(taskManagerFiles),
        ...(election && { account: serviceAccount(this, "taskmanager") }),
        role: "taskmanager",
        containers: {
          taskmanager: {
            ...container,
            args: [`${home}/bin/taskmanager.sh`, "start-foreground", "-D", "taskmanager.host=$(POD_IP)"],
            ports: taskManagerPorts,
            resources: taskManager.resources,
            // It ends itself when it finds no JobManager for five minutes.
            startup: tcpProbe("rpc", { every: 2, failures: 150 }),
            readiness: tcpProbe("rpc"),
            liveness: tcpProbe("rpc", lenientLiveness),
          },
        },
      },
      // Started beside the JobManagers, which they look for until they find them.
      dependsOn: [rpc, each, ...workersMay, ...bucket.ready],
    });

    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: jobManagerPorts.rest };
    this.registerOutputs({});
  }
}

/** The plugin for S3 comes with Flink, but not where Flink looks for plugins. */
const start = `
ln -sf ${home}/opt/flink-s3-fs-presto-*.jar ${home}/plugins/s3-fs-presto/
exec "$@"
`.trim();

/**
 * What JobManagers do with ConfigMaps: elect a leader in one, and keep one for each job, named by a number that nobody
 * knows before. A Role cannot limit `create` to a name, so a namespace limits it.
 */
const electing = {
  apiGroups: [""],
  resources: ["configmaps"],
  verbs: ["get", "list", "watch", "create", "update", "patch", "delete"],
};
/** TaskManagers, in which the jobs' own code runs, look up the leader. */
const following = { ...electing, verbs: ["get", "list", "watch"] };

type Settings = Record<string, string | number | boolean>;

const yaml = (settings: Settings) =>
  Object.entries(settings)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join("");

const opened = [
  "java.rmi/sun.rmi.registry",
  "jdk.compiler/com.sun.tools.javac.api",
  "jdk.compiler/com.sun.tools.javac.file",
  "jdk.compiler/com.sun.tools.javac.parser",
  "jdk.compiler/com.sun.tools.javac.tree",
  "jdk.compiler/com.sun.tools.javac.util",
  "java.security.jgss/sun.security.krb5",
];
const reflected = [
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

const forAll = ({ endpoint, bucket }: BucketConnection): Settings => ({
  "jobmanager.rpc.port": jobManagerPorts.rpc,
  "blob.server.port": jobManagerPorts.blob,
  // Of the ten seconds that Flink has here, all can pass while everything else on the machine starts too.
  "pekko.startup-timeout": "60 s",
  "rest.port": jobManagerPorts.rest,
  "metrics.internal.query-service.port": inner.query,
  "metrics.reporter.prom.factory.class": "org.apache.flink.metrics.prometheus.PrometheusReporterFactory",
  "metrics.reporter.prom.port": metrics,
  // Keys of the bucket are all there is to know; without this it looks for tokens of Hadoop's, and warns.
  "security.delegation.tokens.enabled": false,
  "s3.endpoint": endpoint,
  "s3.path.style.access": true,
  "execution.checkpointing.dir": `s3://${bucket}/checkpoints`,
  "execution.checkpointing.savepoint-dir": `s3://${bucket}/savepoints`,
  // A job that was cancelled, or lost with the only JobManager, can be started again from its last checkpoint.
  "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
  // Every session finds the catalogs that are described there.
  "table.catalog-store.kind": "file",
  "table.catalog-store.file.path": `${home}/catalogs`,
  "io.tmp.dirs": "/tmp",
  // The first is the S3 plugin's; then what Flink's own configuration file opens for it in Java 17 and newer.
  "env.java.opts.all": [
    "-Daws.java.v1.disableDeprecationAnnouncement=true",
    ...opened.map((name) => `--add-exports=${name}=ALL-UNNAMED`),
    ...reflected.map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`),
  ].join(" "),
});

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

const forJobManagers: Settings = {
  "jobmanager.bind-host": "0.0.0.0",
  "rest.bind-address": "0.0.0.0",
};

const forTaskManagers: Settings = {
  "taskmanager.bind-host": "0.0.0.0",
  "taskmanager.rpc.port": taskManagerPorts.rpc,
  "taskmanager.data.port": taskManagerPorts.data,
  "taskmanager.collect-sink.port": inner.collect,
};

const highlyAvailable = (name: string, election: NamespaceContext, { bucket }: BucketConnection): Settings => ({
  "high-availability.type": "kubernetes",
  "high-availability.storageDir": `s3://${bucket}/high-availability`,
  "high-availability.jobmanager.port": jobManagerPorts.rpc,
  // Of the ConfigMaps alone: the pods are made by their Deployments.
  "kubernetes.namespace": election.name,
  "kubernetes.cluster-id": name,
});

/** Everything goes to the console: a pod's log is where people look, and its disk is small. */
const console = `rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
`;
const logging = {
  "log4j-console.properties": console,
  // Of the command line's programs: what they have to say, they print.
  "log4j-cli.properties": console
    .replace("INFO", "WARN")
    .replace("CONSOLE", "CONSOLE\nappender.console.target = SYSTEM_ERR"),
};
