import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, RedisConnection, SqlConnection, StatsdConnection } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { runOnce } from "../kit/job.ts";
import { configFiles, drain, execProbe, httpProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { credentials, password, TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { supersetTasks } from "../postgresql/connections.ts";
import {
  credentialsOf,
  credentialsOfSources,
  port,
  register,
  type Sources,
  server,
  settings,
  setUp,
} from "./manifests.ts";

/** User and group `superset` of the official image. */
const user = 1000;
const bin = "/app/.venv/bin";
const celeryApp = "superset.tasks.celery_app:app";

/** Superset: dashboards and SQL in a browser. Web servers, workers that run queries, and one process that sends what is due. */
export class Superset extends Component {
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["superset"];
      database: SqlConnection;
      cache: RedisConnection;
      queue: RedisConnection;
      sources: Sources;
      /** Where to tell what it does, if there is anyone to look. */
      statsd?: StatsdConnection;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, database, cache, queue, sources, statsd } = args;
    super("Superset", name, namespace, parseImage(config.image)?.tag ?? "", opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));
    // Never made anew: what users keep in Superset, such as other databases' passwords, is encrypted with it.
    const keys = TypedSecret.create(this, "secret-key", { "secret-key": password(this, "secret-key", 1) });

    const stores = { database, cache, queue };
    const configuration = files(this, "config", settings(stores, statsd));
    const webServer = files(this, "gunicorn", server(config.web.workers));
    const work = files(this, "setup", setUp(this.admin.key("password")));

    /** What the pods of Superset have in common. */
    const image = this.image(config.image);
    const env = {
      ...credentialsOf(stores, keys.key("secret-key")),
      ...(statsd && { POD_IP: { field: "status.podIP" } }),
      PYTHONPATH: "/app/pythonpath",
      FLASK_APP: "superset.app:create_app()",
      SUPERSET_HOME: "/app/superset_home",
      HOME: "/app/superset_home",
      SUPERSET_ENV: "production",
      // Pages would otherwise tell the makers of Superset of their visitors.
      SCARF_ANALYTICS: "false",
    };
    const mounts = { "/app/pythonpath": "config", "/app/superset_home": "home", "/tmp": "tmp" } as const;
    const volumes = {
      config: configFiles(configuration.name),
      home: scratch({ size: "64Mi" }),
      tmp: scratch({ size: "1Gi" }),
    };
    const checksums = {
      config: configuration.checksum,
      key: keys.revision,
      database: database.revision,
      cache: cache.revision,
      queue: queue.revision,
    };

    const resources = limitedAs(config.web.resources, {
      requests: { cpu: "50m", memory: "256Mi" },
      limits: { memory: "512Mi" },
    });
    const prepared = runOnce(
      this,
      "setup",
      {
        user,
        checksums: { ...checksums, setup: work.checksum, admin: this.admin.revision },
        containers: {
          setup: {
            image,
            command: ["sh", "-eu", "-c", prepare],
            env: { ...env, ADMIN_PASSWORD: this.admin.key("password") },
            resources,
            mounts: { ...mounts, "/etc/superset": "setup" },
          },
        },
        volumes: { ...volumes, setup: configFiles(work.name) },
      },
      { dependsOn: [...database.ready, ...cache.ready, ...queue.ready, ...(statsd?.ready ?? [])] },
    );

    // Apart from the setup, so that the web server waits for none of the databases that it shows.
    const list = files(this, "databases", register(sources));
    runOnce(
      this,
      "databases",
      {
        user,
        checksums: {
          ...checksums,
          databases: list.checksum,
          postgresql: sources.postgresql.revision,
          ...(sources.clickhouse && { clickhouse: sources.clickhouse.revision }),
        },
        containers: {
          register: {
            image,
            command: [`${bin}/python`, "/etc/superset/register.py"],
            env: { ...env, ...credentialsOfSources(sources) },
            resources,
            mounts: { ...mounts, "/etc/superset": "databases" },
          },
        },
        volumes: { ...volumes, databases: configFiles(list.name) },
      },
      // The schemas that a database has are listed when it is registered, so it is there by then.
      { dependsOn: [prepared, ...Object.values(sources).flatMap((source) => source?.ready ?? [])] },
    );

    const web = deployment(this, {
      replicas: config.web.replicas,
      pod: {
        user,
        role: "web",
        checksums: { ...checksums, server: webServer.checksum },
        gracePeriod: 45,
        containers: {
          web: {
            image,
            command: [`${bin}/gunicorn`, "--config", "/etc/superset/gunicorn.conf.py", "superset.app:create_app()"],
            env,
            ports: { http: port },
            resources: config.web.resources,
            mounts: { ...mounts, "/etc/superset": "server" },
            startup: httpProbe("/health", "http", { every: 2, failures: 150 }),
            readiness: httpProbe("/health", "http"),
            liveness: httpProbe("/health", "http", lenientLiveness),
            preStop: drain,
          },
        },
        volumes: { ...volumes, server: configFiles(webServer.name) },
      },
      dependsOn: [prepared],
    });

    deployment(this, {
      suffix: "worker",
      replicas: config.worker.replicas,
      pod: {
        user,
        role: "worker",
        checksums,
        // Celery takes no more work and ends what it has begun; what takes longer is lost.
        gracePeriod: 60,
        containers: {
          worker: {
            image,
            command: [`${bin}/celery`, "--app", celeryApp, "worker"],
            args: [
              "--loglevel",
              "INFO",
              "--concurrency",
              String(supersetTasks),
              "-O",
              "fair",
              "--hostname",
              "worker@%h",
              "--without-gossip",
              "--without-mingle",
            ],
            env,
            resources: config.worker.resources,
            mounts,
            startup: execProbe([`${bin}/python`, "/app/pythonpath/ping.py"], { every: 5, within: 20, failures: 60 }),
            liveness: execProbe([`${bin}/python`, "/app/pythonpath/ping.py"], { every: 60, within: 20, failures: 5 }),
          },
        },
        volumes,
      },
      dependsOn: [prepared],
    });

    deployment(this, {
      suffix: "beat",
      replicas: 1,
      pod: {
        user,
        role: "beat",
        checksums,
        containers: {
          beat: {
            image,
            command: [`${bin}/celery`, "--app", celeryApp, "beat"],
            args: ["--schedule", "/tmp/schedule", "--pidfile", ""],
            env,
            resources: config.beat.resources,
            mounts,
            startup: execProbe(["sh", "-c", "test -e /tmp/schedule*"], { every: 5, failures: 60 }),
            // It sends a task at each full minute.
            liveness: execProbe(["sh", "-c", sentLately], { every: 60 }),
          },
        },
        volumes,
      },
      dependsOn: [prepared],
    });

    service(this, { role: "web", ports: { http: port }, type: config.service.type, workload: web });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port };
    this.registerOutputs({});
  }
}

/** The schema of Superset's own database, its roles, and what `setup.py` says. */
const prepare = `
${bin}/superset db upgrade
${bin}/superset init
${bin}/python /etc/superset/setup.py
`.trim();

const sentLately = 'test -n "$(find /tmp/task-sent -mmin -3)"';
