import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { LoadedConfig } from "../config/load.ts";
import { Airflow } from "./airflow/index.ts";
import { Clickhouse } from "./clickhouse/index.ts";
import { CloudnativePg, DatabaseCluster } from "./cloudnative-pg/index.ts";
import { Deployd } from "./deployd/index.ts";
import { Django } from "./django/index.ts";
import { Flink } from "./flink/index.ts";
import { Kafka } from "./kafka/index.ts";
import type { Kind } from "./kind/index.ts";
import type { Component, NamespaceContext } from "./kit/component.ts";
import type { Endpoint } from "./kit/connection.ts";
import { Minio } from "./minio/index.ts";
import { dashboards } from "./monitoring/dashboards.ts";
import { Exporters } from "./monitoring/exporters.ts";
import { Grafana } from "./monitoring/grafana.ts";
import { podMonitors } from "./monitoring/monitors.ts";
import { Prometheus } from "./monitoring/prometheus.ts";
import { Namespace } from "./namespaces.ts";
import { Nessie } from "./nessie/index.ts";
import { Noetl, databaseOf as noetlDatabase } from "./noetl/index.ts";
import { Nats } from "./noetl/nats.ts";
import { nameOf } from "./noetl/schema.ts";
import { Postgresql } from "./postgresql/index.ts";
import { Redis } from "./redis/index.ts";
import { registryTopics, SchemaRegistry } from "./schema-registry/index.ts";
import { Spark } from "./spark/index.ts";
import { Superset } from "./superset/index.ts";
import { Trino } from "./trino/index.ts";
import { WebApp } from "./web-app/index.ts";

/** A Secret's namespace, for whoever may read it. */
interface SecretName {
  namespace: string;
  name: pulumi.Input<string>;
}

/** What a component tells of itself. Those that ask nobody for a password have no administrator. */
type Offering = Component & { endpoint: Endpoint; admin?: SecretName };

type ComponentName = Exclude<
  keyof LoadedConfig["config"],
  "global" | "namespaces" | "cloudnativePg" | "monitoring" | "djangoApps"
>;

/** The whole platform: reads from top to bottom as what needs what. */
export class Platform extends pulumi.ComponentResource {
  /** Where each component answers. */
  readonly endpoints: Record<string, Endpoint> = {};
  /** The Secret with each component's administrator's password. Never a password. */
  readonly secrets: Record<string, SecretName> = {};
  readonly namespaces: Record<string, string>;
  private readonly components: Component[] = [];

  /** `kind` is the cluster where the program makes one. Without it the cluster is there, and so are all images. */
  constructor({ stack, config, cluster }: LoadedConfig, kind?: Kind) {
    const provider = new k8s.Provider("kubernetes", {
      ...(kind ? { kubeconfig: kind.kubeconfig } : cluster),
      // Changed in place, and pods rolled by a checksum: replacing one would take what refers to it along.
      enableConfigMapMutable: true,
      enableSecretMutable: true,
      // A field that someone set by hand comes back to what the program says.
      enablePatchForce: true,
    });
    super("data-platform:index:Platform", "platform", {}, { providers: [provider] });
    const child = { parent: this };

    const { global } = config;
    const salt = new random.RandomPassword("checksum-salt", { length: 32, special: false }, child).result;
    // A mirror has the platform's own images too.
    const built = global.imageRegistry ? undefined : kind?.image;
    const namespace = (key: keyof typeof config.namespaces): NamespaceContext => {
      const settings = config.namespaces[key];
      // With a single JobManager Flink's is empty, and going back to one must be possible.
      const protectData = global.protectData && key !== "flink";
      const { name, ready } = new Namespace(key, { stack, settings, protectData }, child);
      return { stack, key, name, ready, global, salt, built };
    };
    const core = namespace("core");
    const apps = namespace("apps");

    /** Makes a component where it is enabled. Where it needs another, the schema has seen to it that that one is too. */
    const component = <P extends Offering>(key: ComponentName, make: () => P): P | undefined =>
      config[key].enabled ? this.offer(make()) : undefined;

    const { monitoring, cloudnativePg } = config;
    const watching = monitoring.enabled ? namespace("monitoring") : undefined;
    const operating = cloudnativePg.enabled && cloudnativePg.operator === "chart" ? namespace("operators") : undefined;
    const deployed = config.deployd.enabled ? namespace("deployed") : undefined;
    const { flink } = config;
    const election = flink.enabled && flink.jobManager.replicas > 1 ? namespace("flink") : undefined;
    this.namespaces = {
      core: core.name,
      apps: apps.name,
      ...(watching && { monitoring: watching.name }),
      ...(operating && { operators: operating.name }),
      ...(deployed && { deployed: deployed.name }),
      ...(election && { flink: election.name }),
    };

    const postgresql = component("postgresql", () => {
      const own = Object.entries(config.djangoApps)
        .filter(([, app]) => app.database === "postgresql")
        .map(([key]) => djangoDatabase(key));
      const ofNoetl = config.noetl.enabled ? Object.keys(config.noetl.instances).map(noetlDatabase) : [];
      const databases = ["nessie", "airflow", "superset", "mlflow", "trino", "polls", ...ofNoetl, ...own] as const;
      return new Postgresql(
        "postgresql",
        { namespace: core, config: config.postgresql, databases, monitor: watching !== undefined },
        child,
      );
    });
    const redis = component("redis", () => new Redis("redis", { namespace: core, config: config.redis }, child));
    const minio = component("minio", () => {
      const buckets = ["lakehouse", "warehouse", "airflow", "flink", "mlflow", "web-app"] as const;
      return new Minio("minio", { namespace: core, config: config.minio, buckets }, child);
    });
    const nessie = component("nessie", () => {
      const database = postgresql!.database("nessie", core);
      const warehouse = minio!.bucket("lakehouse", core);
      return new Nessie("nessie", { namespace: core, config: config.nessie, database, warehouse }, child);
    });

    const kafka = component("kafka", () => {
      const topics = config.schemaRegistry.enabled ? registryTopics : [];
      const exporter = watching && monitoring.exporters.jmx;
      return new Kafka("kafka", { namespace: apps, config: config.kafka, topics, exporter }, child);
    });
    // Before those that tell them what they do.
    const exporters =
      watching &&
      new Exporters(
        "exporters",
        {
          namespace: watching,
          config: monitoring.exporters,
          postgresql: postgresql?.monitor(watching),
          redis: redis?.connection("monitoring", watching),
        },
        child,
      );

    component("schemaRegistry", () => {
      const { connection } = kafka!;
      return new SchemaRegistry(
        "schema-registry",
        { namespace: apps, config: config.schemaRegistry, kafka: connection },
        child,
      );
    });
    const clickhouse = component("clickhouse", () => {
      return new Clickhouse("clickhouse", { namespace: apps, config: config.clickhouse }, child);
    });
    const trino = component("trino", () => {
      const catalogs = {
        iceberg: { catalog: nessie!.catalog, bucket: minio!.bucket("lakehouse", apps) },
        postgresql: postgresql?.database("trino", apps),
        clickhouse: clickhouse?.connection,
        kafka: kafka?.connection,
      };
      return new Trino("trino", { namespace: apps, config: config.trino, catalogs }, child);
    });
    component("flink", () => {
      const bucket = minio!.bucket("flink", apps);
      return new Flink("flink", { namespace: apps, config: flink, election, bucket, catalog: nessie?.catalog }, child);
    });
    component("spark", () => {
      const { catalog } = nessie!;
      const bucket = minio!.bucket("lakehouse", apps);
      return new Spark("spark", { namespace: apps, config: config.spark, catalog, bucket }, child);
    });
    const statsd = exporters?.statsd;
    component("airflow", () => {
      const database = postgresql!.database("airflow", apps);
      const queue = redis!.connection("airflow", apps);
      const logs = minio!.bucket("airflow", apps);
      return new Airflow("airflow", { namespace: apps, config: config.airflow, database, queue, logs, statsd }, child);
    });
    component("superset", () => {
      const database = postgresql!.database("superset", apps);
      const cache = redis!.connection("superset-cache", apps);
      const queue = redis!.connection("superset-queue", apps);
      const sources = {
        trino: trino?.connection,
        clickhouse: clickhouse?.connection,
        postgresql: postgresql!.database("trino", apps),
      };
      return new Superset(
        "superset",
        { namespace: apps, config: config.superset, database, cache, queue, sources, statsd },
        child,
      );
    });
    const queue = component("noetl", () => {
      const instances = Object.keys(config.noetl.instances);
      return new Nats("noetl-nats", { namespace: apps, config: config.noetl.nats, instances }, child);
    });
    for (const [key, instance] of Object.entries(config.noetl.instances))
      component("noetl", () => {
        const database = postgresql!.database(noetlDatabase(key), apps);
        const args = { namespace: apps, config: config.noetl, instance, database, queue: queue!.connection(key) };
        return new Noetl(nameOf(key), args, child);
      });

    const operator =
      operating && new CloudnativePg("cloudnative-pg", { namespace: operating, config: cloudnativePg }, child);
    /** The database of a Django application, with whom the application says. */
    const djangoData = (
      name: string,
      app: typeof config.polls | (typeof config.djangoApps)[string],
      database: "polls" | ReturnType<typeof djangoDatabase>,
      configKey: string,
    ) =>
      app.database === "postgresql"
        ? postgresql!.database(database, apps)
        : this.offer(
            new DatabaseCluster(
              `${name}-database`,
              { namespace: apps, config: app.databaseCluster, configKey, database, operator: operator?.ready ?? [] },
              child,
            ),
          ).connection;
    component("polls", () => {
      const { polls } = config;
      const database = djangoData("polls", polls, "polls", "polls.databaseCluster");
      const served = { ...polls, application: "mysite.wsgi", interface: "wsgi" as const, healthPath: "/healthz" };
      return new Django("polls", { namespace: apps, config: served, database }, child);
    });
    for (const [key, app] of Object.entries(config.djangoApps)) {
      const name = `django-${key}`;
      const database = djangoData(name, app, djangoDatabase(key), `djangoApps.${key}.databaseCluster`);
      this.offer(new Django(name, { namespace: apps, config: app, database }, child));
    }
    component("webApp", () => {
      const backups = minio && { bucket: minio.bucket("web-app", apps), client: config.minio.image };
      return new WebApp("web-app", { namespace: apps, config: config.webApp, backups }, child);
    });

    if (deployed)
      this.offer(new Deployd("deployd", { namespace: apps, config: config.deployd, target: deployed }, child));

    if (watching && exporters) {
      const { prometheus, grafana, monitors } = monitoring;
      const watched = [...this.components, exporters];
      const shown = dashboards(exporters, watched);
      if (monitors.enabled) for (const one of watched) podMonitors(one, monitors.labels);
      if (prometheus.enabled) {
        const { url } = this.offer(
          new Prometheus("prometheus", { namespace: watching, config: prometheus, watched }, child),
        );
        if (grafana.enabled)
          this.offer(
            new Grafana("grafana", { namespace: watching, config: grafana, prometheus: url, dashboards: shown }, child),
          );
      }
    }
    this.registerOutputs({});
  }

  /** Has a component's address and administrator among the stack's outputs. */
  private offer<P extends Offering>(component: P): P {
    const { name, endpoint, admin } = component;
    this.components.push(component);
    this.endpoints[name] = endpoint;
    if (admin) this.secrets[name] = { namespace: admin.namespace, name: admin.name };
    return component;
  }
}

/** Database and user of an application from elsewhere: none of the platform's own begins so. */
const djangoDatabase = (app: string) => `django_${app.replaceAll("-", "_")}` as const;
