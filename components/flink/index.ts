import * as pulumi from "@pulumi/pulumi";
import { either, firstOf, itemsWhen, whenever } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { type ConfigFiles, files } from "../kit/config.ts";
import type { BucketConnection, CatalogConnection, Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { expose } from "../kit/ingress.ts";
import { permissions } from "../kit/permissions.ts";
import { configFiles, drain, httpProbe, lenientLiveness, scratch, tcpProbe } from "../kit/pod.ts";
import { endpoint, exposed, headlessService, service } from "../kit/service.ts";
import { serviceAccount } from "../kit/service-account.ts";
import {
  type Cluster,
  catalogFiles,
  home,
  internalPorts,
  jobManagerFiles,
  jobManagerPorts,
  jobManagerRule,
  startScript,
  taskManagerFiles,
  taskManagerPorts,
  taskManagerRule,
} from "./manifests.ts";

/** User and group `flink` of the official image. */
const user = 9999;
/** Hadoop, which tables need, looks up its user. */
const userName = "flink";

export interface FlinkArgs extends ComponentArgs<Config["flink"]> {
  /**
   * Namespace of the ConfigMaps in which several JobManagers elect a leader and record their jobs. It must hold nothing
   * else: the JobManagers may change every ConfigMap in it. Default: no election, for one JobManager.
   */
  election?: NamespaceContext | undefined;
  /** Bucket of checkpoints, savepoints and the jobs' recovery data. */
  bucket: BucketConnection;
  /** Iceberg catalog, `lakehouse` in Flink SQL. The keys of `bucket` must open its tables' files too. Default: none. */
  catalog?: CatalogConnection | undefined;
}

/**
 * A Flink session cluster: JobManagers, which accept jobs, and TaskManagers, which run them. Checkpoints are in a
 * bucket, so a job survives the loss of a TaskManager and, with several JobManagers, the loss of a JobManager.
 */
export class Flink extends Component {
  override readonly metrics: Metrics[] = ["jobmanager", "taskmanager"].map((role) => ({
    role,
    port: "metrics",
  }));
  readonly endpoint: Endpoint;

  constructor(name: string, args: FlinkArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, bucket, election, catalog } = args;
    super("Flink", name, namespace, config, opts);
    const cluster = { name, rest: this.host(), rpc: this.host("jobmanager"), election, bucket };
    const catalogs = files(this, "catalogs", catalogFiles(catalog, bucket));
    const rpc = headlessService(this, {
      suffix: "jobmanager",
      role: "jobmanager",
      ports: { rpc: jobManagerPorts.rpc, blob: jobManagerPorts.blob, metrics: jobManagerPorts.metrics },
    });
    const jobManagers = this.jobManagers(config, cluster, catalogs, rpc, catalog);
    const front = service(this, {
      role: "jobmanager",
      ports: { rest: jobManagerPorts.rest },
      ...exposed(this, config.service),
      workload: jobManagers,
    });
    expose(this, { role: "jobmanager", port: "rest", withoutLogin: "flink" }, front);
    this.taskManagers(config, cluster, catalogs, rpc, catalog);
    this.endpoint = endpoint(this, jobManagerPorts.rest);
    this.registerOutputs({});
  }

  private jobManagers(
    config: Config["flink"],
    cluster: Cluster,
    catalogs: ConfigFiles,
    rpc: pulumi.Resource,
    catalog: CatalogConnection | undefined,
  ) {
    const { image, jobManager } = config;
    const { election, bucket } = cluster;
    // A file for each role: a change of one role's memory does not roll the other.
    const configuration = files(this, "jobmanager", jobManagerFiles(cluster, config));
    return deployment(this, {
      suffix: "jobmanager",
      replicas: jobManager.replicas,
      pod: {
        ...this.pod(configuration, catalogs, cluster, { catalog, scratch: config.scratch }),
        role: "jobmanager",
        containers: {
          jobmanager: {
            ...this.container(image, bucket),
            args: [
              `${home}/bin/jobmanager.sh`,
              "start-foreground",
              ...itemsWhen(election, () => ["-D", "jobmanager.rpc.address=$(POD_IP)"]),
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
      dependsOn: [
        rpc,
        ...(whenever(election, (namespace) => permissions(this, [jobManagerRule], [namespace])) ?? []),
        ...bucket.ready,
      ],
    });
  }

  private taskManagers(
    config: Config["flink"],
    cluster: Cluster,
    catalogs: ConfigFiles,
    rpc: pulumi.Resource,
    catalog: CatalogConnection | undefined,
  ) {
    const { image, taskManager } = config;
    const { election, bucket } = cluster;
    const configuration = files(this, "taskmanager", taskManagerFiles(cluster, config));
    const { metrics } = taskManagerPorts;
    const headless = headlessService(this, { suffix: "taskmanager", role: "taskmanager", ports: { metrics } });
    const rights =
      whenever(election, (namespace) => permissions(this, [taskManagerRule], [namespace], "taskmanager")) ?? [];
    const account = whenever(election, () => serviceAccount(this, "taskmanager")) ?? serviceAccount(this);
    return deployment(this, {
      suffix: "taskmanager",
      replicas: taskManager.replicas,
      autoscale: taskManager.autoscale,
      pod: {
        ...this.pod(configuration, catalogs, cluster, { catalog, scratch: config.scratch }),
        account: pulumi.all([account, serviceAccount(this)]).apply(([own, shared]) =>
          firstOf(
            this.accountOf("taskmanager").name,
            either(
              election,
              () => own,
              () => shared,
            ),
          ),
        ),
        role: "taskmanager",
        containers: {
          taskmanager: {
            ...this.container(image, bucket),
            args: [`${home}/bin/taskmanager.sh`, "start-foreground", "-D", "taskmanager.host=$(POD_IP)"],
            ports: taskManagerPorts,
            resources: taskManager.resources,
            // A TaskManager exits by itself after five minutes without a JobManager.
            startup: tcpProbe("rpc", { every: 2, failures: 150 }),
            readiness: tcpProbe("rpc"),
            liveness: tcpProbe("rpc", lenientLiveness),
          },
        },
      },
      // Not on the JobManagers: TaskManagers retry until they find one.
      dependsOn: [rpc, headless, ...rights, ...bucket.ready],
    });
  }

  /** The fields that the pods of both roles share. */
  private pod(
    configuration: ConfigFiles,
    catalogs: ConfigFiles,
    { election, bucket }: Cluster,
    { catalog, scratch: size }: { catalog: CatalogConnection | undefined; scratch: string },
  ) {
    return {
      user,
      userName,
      checksums: { config: configuration.checksum, catalogs: catalogs.checksum, bucket: bucket.revision },
      connects: [
        bucket,
        catalog,
        this.serves("jobmanager", ["rest", "rpc", "blob", internalPorts.query]),
        this.serves("taskmanager", ["rpc", "data", internalPorts.query, internalPorts.collect]),
      ],
      ...(election && {
        talksToApi: "Flink keeps who leads and which jobs there are in ConfigMaps",
        talksOnlyFor: election,
      }),
      volumes: {
        config: configFiles(configuration.name),
        catalogs: configFiles(catalogs.name),
        plugin: scratch({ size: "1Mi" }),
        tmp: scratch({ size }),
      },
    };
  }

  /** The fields that the containers of both roles share. */
  private container(image: string, bucket: BucketConnection) {
    return {
      image: this.image(image),
      command: ["bash", "-eu", "-c", startScript, "flink"],
      env: {
        FLINK_CONF_DIR: `${home}/conf`,
        FLINK_LOG_DIR: "/tmp",
        HOME: "/tmp",
        POD_IP: { field: "status.podIP" },
        // The file systems of checkpoints and of tables read their keys from these.
        AWS_ACCESS_KEY_ID: bucket.accessKey,
        AWS_SECRET_ACCESS_KEY: bucket.secretKey,
        // glibc would keep freed memory per thread, which Flink's memory model does not count.
        MALLOC_ARENA_MAX: "2",
      },
      mounts: {
        [`${home}/conf`]: "config",
        [`${home}/catalogs`]: "catalogs",
        [`${home}/plugins/s3-fs-presto`]: "plugin",
        "/tmp": "tmp",
      } as const,
    };
  }
}
