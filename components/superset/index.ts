import type * as pulumi from "@pulumi/pulumi";
import { when } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import type { Queue } from "../kit/autoscaler.ts";
import { Component } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, RedisConnection, SqlConnection, StatsdConnection } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { expose, type Page, urlOf } from "../kit/ingress.ts";
import { runOnce } from "../kit/job.ts";
import type { Connects } from "../kit/network.ts";
import { configFiles, drain, execProbe, httpProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { credentials, password, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { type SetUp, setUpVariables, waitForSetUp } from "../kit/set-up.ts";
import type { SharedPod } from "../kit/shared-pod.ts";
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
const page: Page = { role: "web" };
const setupJob = "setup";
const celery = [`${bin}/celery`, "--app", "superset.tasks.celery_app:app"];

/** What Superset needs from the platform. */
export interface SupersetArgs extends ComponentArgs<Config["superset"]> {
  /** The metadata database: dashboards, users, connections. */
  database: SqlConnection;
  /** Caches and query results. */
  cache: RedisConnection;
  /** The Celery broker. */
  queue: RedisConnection;
  /** Databases that users find registered at their first login. */
  sources: Sources;
  /** Where Superset sends its metrics. Default: it sends none. */
  statsd?: StatsdConnection | undefined;
}

/** What every pod of Superset has in common. */
interface Shared extends SharedPod {
  connects: (Connects | undefined)[];
}

/** Superset: dashboards and SQL in a browser. Web servers, Celery workers that run queries, and Celery beat. */
export class Superset extends Component {
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;
  /**
   * The Job that migrates the metadata database. Each other pod waits for it: the web server would report itself healthy
   * without tables, and Celery's processes would fail.
   */
  private readonly setUp: SetUp<string>;

  constructor(name: string, args: SupersetArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config } = args;
    super("Superset", name, namespace, config, opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));
    const image = this.image(config.image);
    this.setUp = {
      job: setupJob,
      version: image,
      database: args.database,
      image,
      python: `${bin}/python`,
      folder: "/app/pythonpath",
      mounts: { "/app/pythonpath": "config" },
    };
    // Never rotated: Superset encrypts with it what users store, such as the passwords of other databases.
    const keys = TypedSecret.create(this, "secret-key", () => ({ "secret-key": password(this, "secret-key", 1) }));
    const shared = this.shared(args, keys);

    const migrated = this.setup(args, shared);
    this.registration(args, shared, migrated);
    const web = this.web(args, shared, migrated);
    this.workers(args, shared, migrated);
    this.beat(config, shared, migrated);

    const reached = exposed(this, config.service);
    expose(this, page, service(this, { role: "web", ports: { http: port }, ...reached, workload: web }));
    this.endpoint = endpoint(this, port);
    this.registerOutputs({});
  }

  private shared(args: SupersetArgs, keys: TypedSecret<"secret-key">): Shared {
    const { config, database, cache, queue, statsd } = args;
    const configuration = files(this, "config", settings(args, config.config, statsd, urlOf(this, page)));
    return {
      image: this.image(config.image),
      env: {
        ...credentialsOf(args, keys.key("secret-key")),
        ...when(statsd, () => ({ POD_IP: { field: "status.podIP" } })),
        PYTHONPATH: "/app/pythonpath",
        FLASK_APP: "superset.app:create_app()",
        SUPERSET_HOME: "/app/superset_home",
        HOME: "/app/superset_home",
        SUPERSET_ENV: "production",
        // Otherwise each page loads a tracking pixel that reports its visitor to Superset's makers.
        SCARF_ANALYTICS: "false",
      },
      checksums: {
        config: configuration.checksum,
        key: keys.revision,
        database: database.revision,
        cache: cache.revision,
        queue: queue.revision,
      },
      connects: [database, cache, queue, statsd],
      mounts: { "/app/pythonpath": "config", "/app/superset_home": "home", "/tmp": "tmp" },
      volumes: {
        config: configFiles(configuration.name),
        home: scratch({ size: "64Mi" }),
        tmp: scratch({ size: "1Gi" }),
      },
    };
  }

  /** The Job that migrates the metadata database and writes the roles and the user `admin`. */
  private setup(args: SupersetArgs, shared: Shared): pulumi.Resource {
    const { config, database, cache, queue, statsd } = args;
    const script = files(this, "setup", setUp(this.admin.key("password")));
    return runOnce(
      this,
      setupJob,
      {
        user,
        connects: shared.connects,
        checksums: { ...shared.checksums, setup: script.checksum, admin: this.admin.revision },
        containers: {
          setup: {
            image: shared.image,
            command: ["sh", "-eu", "-c", prepare],
            env: {
              ...shared.env,
              ...setUpVariables(this, this.setUp),
              ADMIN_PASSWORD: this.admin.key("password"),
            },
            resources: jobResources(config),
            mounts: { ...shared.mounts, "/etc/superset": "setup" },
          },
        },
        volumes: { ...shared.volumes, setup: configFiles(script.name) },
      },
      { dependsOn: [...database.ready, ...cache.ready, ...queue.ready, ...(statsd?.ready ?? [])] },
    );
  }

  /** The Job that registers the databases. Apart from the set-up, so that the web server does not wait for them. */
  private registration({ config, sources }: SupersetArgs, shared: Shared, migrated: pulumi.Resource): void {
    const script = files(this, "databases", register(sources));
    runOnce<string>(
      this,
      "databases",
      {
        user,
        connects: [...shared.connects, ...sourcesOf(sources)],
        checksums: {
          ...shared.checksums,
          databases: script.checksum,
          postgresql: sources.postgresql.revision,
          ...when(sources.clickhouse, ({ revision }) => ({ clickhouse: revision })),
        },
        init: waitForSetUp(this, this.setUp, config.web.resources),
        containers: {
          register: {
            image: shared.image,
            command: [`${bin}/python`, "/etc/superset/register.py"],
            env: { ...shared.env, ...credentialsOfSources(sources) },
            resources: jobResources(config),
            mounts: { ...shared.mounts, "/etc/superset": "databases" },
          },
        },
        volumes: { ...shared.volumes, databases: configFiles(script.name) },
      },
      // Registration lists the schemas of a database, so the database must answer by then.
      { dependsOn: [migrated, ...Object.values(sources).flatMap((source) => source?.ready ?? [])] },
    );
  }

  private web({ config: { web }, sources }: SupersetArgs, shared: Shared, migrated: pulumi.Resource) {
    const configuration = files(this, "gunicorn", server(web.workers));
    return deployment<string>(this, {
      replicas: web.replicas,
      waitsForJob: true,
      pod: {
        user,
        role: "web",
        connects: [...shared.connects, ...sourcesOf(sources)],
        checksums: { ...shared.checksums, server: configuration.checksum },
        gracePeriod: 45,
        init: waitForSetUp(this, this.setUp, web.resources),
        containers: {
          web: {
            image: shared.image,
            command: [`${bin}/gunicorn`, "--config", "/etc/superset/gunicorn.conf.py", "superset.app:create_app()"],
            env: shared.env,
            ports: { http: port },
            resources: web.resources,
            mounts: { ...shared.mounts, "/etc/superset": "server" },
            startup: httpProbe("/health", "http", { every: 2, failures: 150 }),
            readiness: httpProbe("/health", "http"),
            liveness: httpProbe("/health", "http", lenientLiveness),
            preStop: drain,
          },
        },
        volumes: { ...shared.volumes, server: configFiles(configuration.name) },
      },
      dependsOn: [migrated],
    });
  }

  private workers(
    { config: { worker }, sources, queue }: SupersetArgs,
    { volumes, checksums, connects, ...shared }: Shared,
    migrated: pulumi.Resource,
  ) {
    const ping = [`${bin}/python`, "/app/pythonpath/ping.py"];
    return deployment<string>(this, {
      suffix: "worker",
      replicas: worker.replicas,
      autoscale: worker.autoscale,
      queue: tasks(queue),
      waitsForJob: true,
      pod: {
        user,
        role: "worker",
        connects: [...connects, ...sourcesOf(sources)],
        checksums,
        // On SIGTERM Celery takes no more tasks and finishes those it has. What needs longer is lost.
        gracePeriod: 60,
        init: waitForSetUp(this, this.setUp, worker.resources),
        containers: {
          worker: {
            ...shared,
            command: [...celery, "worker"],
            args: [
              ...["--loglevel", "INFO"],
              ...["--concurrency", String(supersetTasks)],
              ...["-O", "fair"],
              ...["--hostname", "worker@%h"],
              "--without-gossip",
              "--without-mingle",
            ],
            resources: worker.resources,
            startup: execProbe(ping, { every: 5, within: 20, failures: 60 }),
            liveness: execProbe(ping, { every: 60, within: 20, failures: 5 }),
          },
        },
        volumes,
      },
      dependsOn: [migrated],
    });
  }

  /** Celery beat sends the tasks that are due. Two of them would send each task twice. */
  private beat(
    { beat }: Config["superset"],
    { volumes, checksums, connects, ...shared }: Shared,
    migrated: pulumi.Resource,
  ) {
    return deployment<string>(this, {
      suffix: "beat",
      replicas: 1,
      waitsForJob: true,
      pod: {
        user,
        role: "beat",
        connects,
        checksums,
        init: waitForSetUp(this, this.setUp, beat.resources),
        containers: {
          beat: {
            ...shared,
            command: [...celery, "beat"],
            args: ["--schedule", "/tmp/schedule", "--pidfile", ""],
            resources: beat.resources,
            startup: execProbe(["sh", "-c", "test -e /tmp/schedule*"], { every: 5, failures: 60 }),
            // It sends a task every full minute.
            liveness: execProbe(["sh", "-c", sentLately], { every: 60 }),
          },
        },
        volumes,
      },
      dependsOn: [migrated],
    });
  }
}

/** The tasks that wait for a worker. */
const tasks = ({ host, port, database, username = "default", password, server }: RedisConnection): Queue => ({
  trigger: "redis",
  metadata: (each) => ({
    address: `${host}:${port}`,
    username,
    databaseIndex: String(database),
    // Celery's usual queue.
    listName: "celery",
    listLength: String(each),
  }),
  credentials: { password },
  server,
});

/** The databases that queries go to. */
const sourcesOf = ({ trino, clickhouse, postgresql }: Sources): (Connects | undefined)[] => [
  trino,
  clickhouse,
  postgresql,
];

const jobResources = ({ web }: Config["superset"]) =>
  limitedAs(web.resources, { requests: { cpu: "50m", memory: "256Mi" }, limits: { memory: "512Mi" } });

/** Migrates the metadata database, writes its roles, runs `setup.py`, and records that it has. */
const prepare = `
${bin}/python /app/pythonpath/set_up.py database
${bin}/superset db upgrade
${bin}/superset init
${bin}/python /etc/superset/setup.py
${bin}/python /app/pythonpath/set_up.py record
`.trim();

const sentLately = 'test -n "$(find /tmp/task-sent -mmin -3)"';
