import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { currentConditions, whenever } from "../config/derived.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { Airflow } from "./airflow/index.ts";
import { Clickhouse } from "./clickhouse/index.ts";
import { CloudnativePg, DatabaseCluster } from "./cloudnative-pg/index.ts";
import { Deployd } from "./deployd/index.ts";
import { Django } from "./django/index.ts";
import { Flink } from "./flink/index.ts";
import { FrontDoor } from "./front-door/index.ts";
import { Kafka } from "./kafka/index.ts";
import type { Kind } from "./kind/index.ts";
import type { Component } from "./kit/component.ts";
import type { Endpoint } from "./kit/connection.ts";
import { several } from "./kit/deployment.ts";
import type { Flow } from "./kit/flows.ts";
import { Network } from "./kit/network.ts";
import { Minio } from "./minio/index.ts";
import { Alertmanager } from "./monitoring/alertmanager.ts";
import { dashboards } from "./monitoring/dashboards.ts";
import { Exporters } from "./monitoring/exporters.ts";
import { Grafana } from "./monitoring/grafana.ts";
import { podMonitors, prometheusRule } from "./monitoring/monitors.ts";
import { Prometheus } from "./monitoring/prometheus.ts";
import { Namespaces } from "./namespaces.ts";
import { Nessie } from "./nessie/index.ts";
import { flowsOf, NetworkPolicies } from "./network-policies.ts";
import { Noetl } from "./noetl/index.ts";
import { Nats } from "./noetl/nats.ts";
import { nameOf as noetlName } from "./noetl/schema.ts";
import { type Database, djangoDatabase, noetlDatabase, wantedDatabases } from "./postgresql/databases.ts";
import { Postgresql } from "./postgresql/index.ts";
import { Redis } from "./redis/index.ts";
import { registryAccess, registryTopics, SchemaRegistry } from "./schema-registry/index.ts";
import { Spark } from "./spark/index.ts";
import { Superset } from "./superset/index.ts";
import { type Transforms, transformation } from "./transforms.ts";
import { Trino } from "./trino/index.ts";
import { WebApp } from "./web-app/index.ts";
import { type Given, Wiring } from "./wiring.ts";

/** Name and namespace of a Secret. */
interface SecretName {
  namespace: string;
  name: pulumi.Input<string>;
}

/** A component that clients connect to. One without authentication has no administrator. */
type Server = Component & { endpoint: Endpoint; admin?: SecretName | undefined };

/** The whole platform. The constructor is the dependency graph: each component is given the ones that its registry entry names. */
export class Platform extends pulumi.ComponentResource {
  /** Host and port of each component. */
  readonly endpoints: Record<string, Endpoint> = {};
  /** The Secret with each component's administrator password. Never a password. */
  readonly secrets: Record<string, SecretName> = {};
  /** Name of each namespace, by its key in the configuration. */
  readonly namespaces: Record<string, string>;
  /** The connections that `global.networkPolicies` allows. */
  readonly flows: Flow[];
  private readonly servers: Server[] = [];
  private readonly namespace: Namespaces["get"];
  private readonly child: pulumi.ComponentResourceOptions;

  /**
   * `kind` is the cluster, if this program creates it. Otherwise the cluster exists, and the images are in its registry.
   * `transforms` change each component's objects; default: none.
   */
  constructor({ stack, config, cluster }: LoadedConfig, kind?: Kind, transforms: Transforms = {}) {
    const options = { providers: [kubernetes(cluster, kind)], transformations: [transformation(transforms)] };
    super("data-platform:index:Platform", "platform", {}, options);
    const child = { parent: this };
    this.child = child;
    const salt = new random.RandomPassword("checksum-salt", { length: 32, special: false }, child).result;
    // A mirror holds the platform's own images too.
    const built = config.global.imageRegistry ? undefined : kind?.image;
    const network = new Network();
    const namespaces = new Namespaces({ stack, config, salt, network, built }, child);
    this.namespace = (key) => namespaces.get(key);
    const { monitoring, minio, schemaRegistry } = config;

    const { components } = new Wiring(config, this.namespace, {})
      .add("postgresql", (given) => {
        const args = { ...given, databases: wantedDatabases(config), monitor: monitoring.enabled };
        return this.offer(new Postgresql("postgresql", args, child));
      })
      .add("redis", (given) => this.offer(new Redis("redis", given, child)))
      .add("minio", (given) => {
        return this.offer(
          new Minio("minio", { ...given, buckets: buckets(config), clients: bucketsOf(config) }, child),
        );
      })
      .add("nessie", ({ postgresql, minio, ...given }) => {
        const database = postgresql.database("nessie", given.namespace);
        const warehouse = minio.bucket("lakehouse", given.namespace, "nessie");
        return this.offer(new Nessie("nessie", { ...given, database, warehouse }, child));
      })
      .add("kafka", (given) => {
        const topics = whenever(schemaRegistry.enabled, () => [...registryTopics]);
        const exporter = whenever(monitoring.enabled, () => ({ image: monitoring.exporters.jmx }));
        return this.offer(new Kafka("kafka", { ...given, topics, exporter, clients: kafkaClients(config) }, child));
      })
      // Before the components that send StatsD metrics to it. Prometheus and Grafana come last: they watch all others.
      .add("monitoring", ({ namespace, config: { exporters }, postgresql, redis }) => {
        const sources = {
          postgresql: whenever(postgresql, (server) => server.monitor(namespace)),
          redis: whenever(redis, (server) => server.connection("monitoring", namespace)),
        };
        return new Exporters("exporters", { namespace, config: exporters, ...sources }, child);
      })
      .add("schemaRegistry", ({ kafka, ...given }) =>
        this.offer(
          new SchemaRegistry(
            "schema-registry",
            {
              ...given,
              kafka: kafka.connection("schema-registry"),
              waitForTopics: kafka.waitForTopics(registryTopics, "schema-registry"),
            },
            child,
          ),
        ),
      )
      .add("clickhouse", (given) => this.offer(new Clickhouse("clickhouse", given, child)))
      .add("trino", ({ nessie, minio, postgresql, clickhouse, kafka, ...given }) => {
        const catalogs = {
          iceberg: { catalog: nessie.catalog, bucket: minio.bucket("lakehouse", given.namespace, "trino") },
          postgresql: whenever(postgresql, (server) => server.database("trino", given.namespace)),
          clickhouse: whenever(clickhouse, (server) => server.connection("trino")),
          kafka: whenever(kafka, (server) => server.connection("trino")),
          exchange: exchanges(config) ? minio.bucket("trino", given.namespace, "trino") : undefined,
        };
        return this.offer(new Trino("trino", { ...given, catalogs }, child));
      })
      .add("flink", ({ minio, nessie, ...given }) => {
        const bucket = minio.bucket("flink", given.namespace, "flink");
        const election = whenever(several(given.config.jobManager.replicas), () => this.namespace("flink"));
        const catalog = whenever(nessie, (server) => server.catalog);
        return this.offer(new Flink("flink", { ...given, election, bucket, catalog }, child));
      })
      .add("spark", ({ nessie, minio, ...given }) => {
        const bucket = minio.bucket("lakehouse", given.namespace, "spark");
        const events = given.config.history.enabled ? minio.bucket("spark", given.namespace, "spark") : undefined;
        return this.offer(new Spark("spark", { ...given, catalog: nessie.catalog, bucket, events }, child));
      })
      .add("airflow", ({ postgresql, redis, minio, monitoring, ...given }) => {
        const database = postgresql.database("airflow", given.namespace);
        const queue = redis.connection("airflow", given.namespace);
        const logs = minio.bucket("airflow", given.namespace, "airflow");
        const statsd = whenever(monitoring, (exporters) => exporters.statsd);
        return this.offer(new Airflow("airflow", { ...given, database, queue, logs, statsd }, child));
      })
      .add("superset", ({ postgresql, redis, trino, clickhouse, monitoring, ...given }) => {
        const database = postgresql.database("superset", given.namespace);
        const cache = redis.connection("superset-cache", given.namespace);
        const queue = redis.connection("superset-queue", given.namespace);
        const sources = {
          trino: whenever(trino, (server) => server.connection),
          clickhouse: whenever(clickhouse, (server) => server.connection("superset")),
          postgresql: postgresql.database("trino", given.namespace),
        };
        const statsd = whenever(monitoring, (exporters) => exporters.statsd);
        const args = { ...given, database, cache, queue, sources, statsd };
        return this.offer(new Superset("superset", args, child));
      })
      .add("noetl", (given) => this.noetl(given))
      .add("cloudnativePg", (given) => new CloudnativePg("cloudnative-pg", given, child))
      .add("polls", (given) => {
        const served = { application: "mysite.wsgi", interface: "wsgi" as const, healthPath: "/healthz" };
        return this.django("polls", { key: "polls", database: "polls", app: { ...given.config, ...served } }, given);
      })
      .add("djangoApps", (given) =>
        Object.entries(given.config).map(([name, app]) =>
          this.django(`django-${name}`, { key: `djangoApps.${name}`, database: djangoDatabase(name), app }, given),
        ),
      )
      .add("webApp", ({ minio: store, ...given }) => {
        const backups = whenever(store, (server) => ({
          bucket: server.bucket("web-app", given.namespace, "web-app"),
          client: minio.image,
        }));
        return this.offer(new WebApp("web-app", { ...given, backups }, child));
      })
      .add("deployd", (given) =>
        this.offer(new Deployd("deployd", { ...given, target: this.namespace("deployed") }, child)),
      )
      .complete();

    whenever(components.monitoring, (exporters) => this.watch(exporters, config.monitoring));
    const { door } = namespaces;
    const { login } = config.frontDoor;
    // Its page is behind a login: it lists everything.
    if (door && login) {
      const passwords = Object.keys(this.secrets);
      new FrontDoor("front-door", { namespace: this.namespace("apps"), config: login, door, passwords }, child);
    }
    // Last, since it needs every workload. The chart has policies alone.
    this.flows = currentConditions() ? [] : flowsOf(network, config.global);
    whenever(config.global.networkPolicies.enabled, () => {
      const args = { stack, config, network, namespaces: namespaces.all };
      return new NetworkPolicies("network-policies", args, child);
    });
    namespaces.complete();
    this.namespaces = namespaces.names;
    this.registerOutputs({});
  }

  /** NoETL: one queue, and a server with workers for each instance. */
  private noetl({ namespace, config, postgresql }: Given<"noetl", { postgresql: Postgresql<Database> }>): Noetl[] {
    const instances = Object.entries(config.instances);
    const queue = this.offer(
      new Nats(
        "noetl-nats",
        { namespace, config: config.nats, instances: instances.map(([name]) => name) },
        this.child,
      ),
    );
    return instances.map(([name, instance]) => {
      const database = postgresql.database(noetlDatabase(name), namespace);
      const args = { namespace, config, instance, database, queue: queue.connection(name) };
      return this.offer(new Noetl(noetlName(name), args, this.child));
    });
  }

  /** A Django application, after its database cluster if it has one of its own. `key` is its block in the configuration. */
  private django(
    name: string,
    { key, database, app }: { key: string; database: Database; app: Config["djangoApps"][string] },
    { namespace, postgresql, cloudnativePg }: DjangoGiven,
  ): Django {
    const connection = () => {
      if (app.database === "postgresql") {
        if (!postgresql) throw new Error(`${key}.database is postgresql, which this stack does not install`);
        return postgresql.database(database, namespace);
      }
      const configKey = `${key}.databaseCluster`;
      const operator = cloudnativePg?.ready ?? [];
      const args = { namespace, config: app.databaseCluster, configKey, database, operator };
      const cluster = this.offer(new DatabaseCluster(`${name}-database`, args, this.child));
      cloudnativePg?.watches(cluster);
      return cluster.connection;
    };
    return this.offer(new Django(name, { namespace, config: app, database: connection() }, this.child));
  }

  /** Prometheus and Grafana, or monitors for a Prometheus Operator that the cluster has, for all servers so far. */
  private watch(exporters: Exporters, config: Config["monitoring"]): void {
    const { prometheus, grafana, monitors, rules } = config;
    const { namespace } = exporters;
    const alertmanager = whenever(config.alertmanager.enabled, () =>
      this.offer(new Alertmanager("alertmanager", { namespace, config: config.alertmanager }, this.child)),
    );
    const watched = [...this.servers, exporters];
    const shown = dashboards(exporters, watched);
    whenever(monitors.enabled, () => {
      for (const one of watched) whenever(one, () => podMonitors(one, monitors.labels));
      if (rules.length > 0) prometheusRule(exporters, monitors.labels, rules);
    });
    whenever(prometheus.enabled, () => {
      const own = { namespace, config: prometheus, watched, rules, alertmanager: alertmanager?.connection };
      const server = this.offer(new Prometheus("prometheus", own, this.child));
      const args = { namespace, config: grafana, prometheus: server.connection, dashboards: shown };
      whenever(grafana.enabled, () => this.offer(new Grafana("grafana", args, this.child)));
    });
  }

  /** Adds the component's address and its administrator's Secret to the outputs. */
  private offer<S extends Server>(server: S): S {
    const { name, endpoint, admin } = server;
    this.servers.push(server);
    this.endpoints[name] = endpoint;
    if (admin) this.secrets[name] = { namespace: admin.namespace, name: admin.name };
    return server;
  }
}

type DjangoGiven = Omit<Given<"polls", { postgresql: Postgresql<Database>; cloudnativePg: CloudnativePg }>, "config">;

function kubernetes(cluster: LoadedConfig["cluster"], kind: Kind | undefined): k8s.Provider {
  return new k8s.Provider("kubernetes", {
    ...(kind ? { kubeconfig: kind.kubeconfig } : cluster),
    // Update ConfigMaps and Secrets in place; a checksum rolls the pods. A replacement would replace what refers to them too.
    enableConfigMapMutable: true,
    enableSecretMutable: true,
    // Take back a field that someone set by hand, as server-side apply with force does.
    enablePatchForce: true,
  });
}

/** Whether Trino keeps intermediate data of queries in a bucket. */
const exchanges = ({ trino }: Config) => trino.enabled && trino.faultTolerance !== "none";

const usualBuckets = ["lakehouse", "warehouse", "airflow", "flink", "mlflow", "web-app"] as const;
type Bucket = (typeof usualBuckets)[number] | "trino" | "spark";

/** Buckets of Trino and Spark beside the catalog's, which both may write. */
const exchangeBucket = (config: Config) => (exchanges(config) ? (["trino"] as const) : []);
const eventBucket = ({ spark }: Config) => (spark.enabled && spark.history.enabled ? (["spark"] as const) : []);

/** Buckets that MinIO has for this stack's clients. */
const buckets = (config: Config): Bucket[] => [...usualBuckets, ...exchangeBucket(config), ...eventBucket(config)];

/** Buckets that each client of MinIO reads and writes. Flink's tables are in the catalog's bucket. */
const bucketsOf = (config: Config) =>
  ({
    nessie: ["lakehouse"],
    trino: ["lakehouse", ...exchangeBucket(config)],
    flink: ["flink", "lakehouse"],
    spark: ["lakehouse", ...eventBucket(config)],
    airflow: ["airflow"],
    "web-app": ["web-app"],
  }) satisfies Record<string, readonly Bucket[]>;

/** What each client of Kafka may do. Of a query by the time of messages, Trino asks how a topic sets it. */
const kafkaClients = ({ schemaRegistry, trino: { enabled, kafkaTopics } }: Config) => ({
  ...(schemaRegistry.enabled && { "schema-registry": registryAccess }),
  ...(enabled && { trino: { topics: { read: kafkaTopics, write: [], settings: kafkaTopics }, groups: [] } }),
});
