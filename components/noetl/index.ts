import type * as pulumi from "@pulumi/pulumi";
import { extended } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component } from "../kit/component.ts";
import type { Endpoint, SqlConnection } from "../kit/connection.ts";
import { expose } from "../kit/ingress.ts";
import { runOnce } from "../kit/job.ts";
import { execProbe, httpProbe, lenientLiveness, limitedAs } from "../kit/pod.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { type SetUp, setUpVariables, waitForSetUp } from "../kit/set-up.ts";
import { stateful } from "../kit/stateful.ts";
import { noetlPool } from "../postgresql/connections.ts";
import { home, isConnected, python, source, startCommand } from "./manifests.ts";
import type { NatsConnection } from "./nats.ts";
import { type Shared, sharedPod, user, type Volumes } from "./pod.ts";
import { port, type StartPlan, startPlan } from "./versions.ts";

/** What one instance of NoETL needs from the platform. */
export interface NoetlArgs extends ComponentArgs<Config["noetl"]> {
  /** The instance's entry of `config.instances`. */
  instance: Config["noetl"]["instances"][string];
  /** The instance's own database. */
  database: SqlConnection;
  /** The instance's own account of NATS. Versions before 2.0 do not use it. */
  queue: NatsConnection;
}

/** One instance of NoETL: a server with its API, and workers that run the steps of its playbooks. */
export class Noetl extends Component {
  // Not the instance's name: all instances share one block.
  override readonly configKey = "noetl";
  readonly endpoint: Endpoint;

  constructor(name: string, args: NoetlArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config } = args;
    const plan = planOf(args.instance);
    const { pods, serviceAccount } = config;
    super("Noetl", name, namespace, { pods, serviceAccount, ...variablesOf(args), version: plan.version }, opts);

    const shared = sharedPod(this, args, plan);
    // Versions without the Job create their tables themselves.
    const setUp = plan.schema === "ddl" ? setUpOf(args, plan, shared) : undefined;
    const schema = setUp ? [this.schema(args, shared, setUp)] : [];
    const server = this.server(args, plan, shared, setUp, schema);
    const reached = exposed(this, config.service);
    const front = service(this, { role: "server", ports: { http: port }, ...reached, workload: server });
    expose(this, { role: "server", withoutLogin: "noetl" }, front);
    if (plan.worker) this.workers(args, plan, startCommand(args.instance, plan.worker), shared, [server, front]);

    this.endpoint = endpoint(this, port);
    this.registerOutputs({});
  }

  /** The Job that applies the schema of the installed package. */
  private schema(
    { config, database }: NoetlArgs,
    { image, install, volumes, checksums, outside }: Shared,
    setUp: SetUp<Volumes>,
  ): pulumi.Resource {
    return runOnce<Volumes>(
      this,
      setUp.job,
      {
        user,
        connects: [database],
        outside,
        checksums: { scripts: checksums.scripts, database: database.revision },
        init: { install },
        containers: {
          schema: {
            image,
            command: [python, "/etc/noetl/apply_schema.py"],
            env: {
              PGHOST: database.host,
              PGPORT: String(database.port),
              PGDATABASE: database.database,
              PGUSER: database.username,
              PGPASSWORD: database.password,
              ...setUpVariables(this, setUp),
            },
            resources: limitedAs(config.server.resources, {
              requests: { cpu: config.server.resources.requests.cpu, memory: "64Mi" },
              limits: { memory: "128Mi" },
            }),
            mounts: setUp.mounts,
          },
        },
        volumes,
      },
      { dependsOn: database.ready },
    );
  }

  private server(
    args: NoetlArgs,
    plan: StartPlan,
    shared: Shared,
    setUp: SetUp<Volumes> | undefined,
    schema: pulumi.Resource[],
  ) {
    const { config, instance, database } = args;
    const { image, install, mounts, volumes, connects, outside, checksums, ready } = shared;
    return stateful<Volumes>(this, {
      replicas: 1,
      ports: { http: port },
      storage: config.storage,
      // Otherwise an update waits for the old pod to become ready, and a broken one never does.
      parallel: true,
      pod: {
        user,
        role: "server",
        connects: [database, ...connects],
        outside,
        checksums: { ...checksums, database: database.revision },
        init: {
          install,
          ...(plan.logsEnvironment && { password: this.passwordFile(args, shared) }),
          ...(setUp && waitForSetUp(this, setUp, config.server.resources)),
        },
        containers: {
          server: {
            image,
            command: startCommand(instance, plan.server),
            env: { ...plan.environment, ...shared.env, ...this.serverEnvironment(args, plan) },
            ports: { http: port },
            resources: config.server.resources,
            mounts,
            startup: httpProbe(plan.health, "http", { every: 2, failures: 150 }),
            readiness: httpProbe(plan.health, "http"),
            liveness: httpProbe(plan.health, "http", lenientLiveness),
          },
        },
        volumes,
      },
      dependsOn: [...database.ready, ...ready, ...schema],
    });
  }

  private serverEnvironment({ database }: NoetlArgs, plan: StartPlan) {
    // Two quotes are an empty password to libpq, which then reads PGPASSFILE: the log shows this variable.
    const password = plan.logsEnvironment ? "''" : database.password;
    return {
      NOETL_SERVER_NAME: this.name,
      NOETL_SCHEMA: "noetl",
      NOETL_POSTGRES_POOL_MAX_SIZE: String(noetlPool.server),
      NOETL_BG_POOL_MAX_SIZE: String(noetlPool.background),
      POSTGRES_HOST: database.host,
      POSTGRES_PORT: String(database.port),
      POSTGRES_DB: database.database,
      // Some versions administer the database as POSTGRES_USER and work as NOETL_USER. Here the owner does both.
      POSTGRES_USER: database.username,
      POSTGRES_PASSWORD: password,
      NOETL_USER: database.username,
      NOETL_PASSWORD: password,
      ...(plan.logsEnvironment && { PGPASSFILE: passwordFile }),
    };
  }

  /** The init container that writes the password where libpq finds it, for versions that log their environment. */
  private passwordFile({ config, database }: NoetlArgs, { image }: Shared): Shared["install"] {
    return {
      image,
      command: ["sh", "-eu", "-c", `umask 077; echo "*:*:*:*:$PASSWORD" > ${passwordFile}`],
      env: { PASSWORD: database.password },
      resources: limitedAs(config.server.resources, {
        requests: { cpu: config.server.resources.requests.cpu, memory: "16Mi" },
        limits: { memory: "64Mi" },
      }),
      mounts: { [`${home}/home`]: "home" },
    };
  }

  private workers(
    { config, instance, queue }: NoetlArgs,
    plan: StartPlan,
    command: string[],
    { image, install, mounts, volumes, connects, outside, checksums, env }: Shared,
    server: pulumi.Resource[],
  ) {
    const connected = isConnected(plan.needs.nats ? { queue: queue.port } : { server: port });
    return stateful<Volumes>(this, {
      suffix: "worker",
      replicas: config.worker.replicas,
      ports: {},
      storage: config.storage,
      parallel: true,
      pod: {
        user,
        role: "worker",
        connects,
        outside,
        checksums,
        // It finishes the command that it runs.
        gracePeriod: 60,
        init: { install },
        containers: {
          worker: {
            image,
            command,
            // No credentials of the database: the worker calls the server's API.
            env: { ...plan.workerEnvironment, ...env, NOETL_RUN_MODE: "worker" },
            resources: config.worker.resources,
            mounts,
            startup: execProbe(connected, { every: 2, failures: 150 }),
            readiness: execProbe(connected),
            // The NATS client gives up for good after two minutes without a connection. A restart repairs that.
            liveness: execProbe(connected, lenientLiveness),
            // It ignores SIGTERM; SIGINT makes it finish its command and deregister. In dev mode watchfiles sends SIGINT
            // itself.
            ...(instance.type !== "dev" && { preStop: ["sh", "-c", "kill -INT 1"] }),
          },
        },
        volumes,
      },
      dependsOn: server,
    });
  }
}

/** Variables of all instances, then those of this one. */
const variablesOf = ({ config, instance }: NoetlArgs) => ({
  env: extended(config.env, instance.env),
  envFrom: instance.envFrom.length > 0 ? [...config.envFrom, ...instance.envFrom] : config.envFrom,
});

/** The Job of the schema. After `install` a container has a Python with NoETL and its driver. */
const setUpOf = ({ database }: NoetlArgs, { version }: StartPlan, { image }: Shared): SetUp<Volumes> => ({
  job: "schema",
  version,
  database,
  image,
  python,
  folder: "/etc/noetl",
  mounts: { [`${home}/venv`]: "venv", "/etc/noetl": "scripts", [source]: "source" },
});

const passwordFile = `${home}/home/.pgpass`;

/** The schema has refused versions that cannot be started. */
function planOf({ version }: NoetlArgs["instance"]): StartPlan {
  const plan = startPlan(version, { unreleased: true });
  if ("refused" in plan) throw new Error(`NoETL ${version}: ${plan.refused}`);
  return plan;
}
