import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { type ConfigFiles, files } from "../kit/config.ts";
import type { Endpoint, TrinoConnection } from "../kit/connection.ts";
import { deployment, secondsAfter } from "../kit/deployment.ts";
import { expose } from "../kit/ingress.ts";
import { configFiles, execProbe, httpProbe, lenientLiveness, scratch, secretFiles } from "../kit/pod.ts";
import { credentials, password, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { type Catalogs, catalogFiles, secretsPath } from "./catalogs.ts";
import {
  coordinatorFiles,
  drainRules,
  drainScript,
  exchangeFiles,
  nodeFiles,
  ports,
  shutdownGracePeriod,
  spillPath,
  startScript,
  workerFiles,
} from "./manifests.ts";

/** User and group `trino` of the official image. */
const user = 1000;
/** The user that Prometheus sends: Trino requires a user name and no password. */
const monitor = "monitor";

type Role = "coordinator" | "worker";

export interface TrinoArgs extends ComponentArgs<Config["trino"]> {
  /** The data sources, which become catalogs. */
  catalogs: Catalogs;
}

/** Trino: a coordinator, which accepts and plans queries, and workers, which run them. Workers drain when they stop. */
export class Trino extends Component {
  override readonly metrics: Metrics[] = ["coordinator", "worker"].map((role) => ({
    role,
    port: "http",
    user: monitor,
  }));
  readonly endpoint: Endpoint;
  readonly connection: TrinoConnection;

  constructor(name: string, { namespace, config, catalogs }: TrinoArgs, opts?: pulumi.ComponentResourceOptions) {
    super("Trino", name, namespace, config, opts);
    const { rotation } = config.auth;
    // Authenticates coordinator and workers to each other.
    const internal = credentials(this, "internal", config.auth, () => ({
      "shared-secret": password(this, "internal", rotation),
    }));
    const drain = this.drainSecret(rotation);
    const sources = catalogFiles(catalogs, config.kafkaTopics, config.catalogs);
    const exchange = config.faultTolerance === "none" ? undefined : catalogs.exchange;
    const shared = { config, sources, catalogs: files(this, "catalogs", sources.files), internal, exchange };
    // Coordinator and workers start in parallel: workers retry until the coordinator answers, and catalogs connect at
    // their first query.
    const coordinator = this.coordinator(shared);
    const reached = exposed(this, config.service);
    const front = service(this, { role: "coordinator", ports, ...reached, workload: coordinator });
    expose(this, { role: "coordinator", withoutLogin: "trino" }, front);
    const workers = this.workers(shared, drain);
    this.endpoint = endpoint(this, ports.http);
    this.connection = {
      host: this.host(),
      port: ports.http,
      ready: [coordinator, front, workers, ...sources.ready, ...(exchange?.ready ?? [])],
      ...this.serves("coordinator", ["http"]),
    };
    this.registerOutputs({});
  }

  /** The user that may stop a worker. Over plain HTTP Trino checks the user name alone, so the name is a secret. */
  private drainSecret(rotation: number): TypedSecret<"user" | "rules.json"> {
    const drainer = password(this, "drain", rotation);
    return TypedSecret.create(this, "drain", () => ({ user: drainer, "rules.json": drainRules(drainer) }));
  }

  private coordinator(shared: Shared) {
    const { checksums, connects, container, mounts, volumes } = this.node("coordinator", shared);
    // The volume `secrets` exists only with files in it, so the type of the volumes' names is `string`.
    return deployment<string>(this, {
      suffix: "coordinator",
      replicas: 1,
      pod: { user, role: "coordinator", checksums, connects, containers: { trino: { ...container, mounts } }, volumes },
    });
  }

  private workers(shared: Shared, drain: TypedSecret<"user" | "rules.json">) {
    const { checksums, connects, container, mounts, volumes } = this.node("worker", shared);
    const { worker } = shared.config;
    const { spill } = worker;
    // Some volumes exist only where they have a use, so the type of their names is `string`.
    return deployment<string>(this, {
      suffix: "worker",
      replicas: worker.replicas,
      autoscale: worker.autoscale,
      pod: {
        user,
        role: "worker",
        connects,
        checksums: { ...checksums, drain: drain.revision },
        // The worker waits for the coordinator twice, before and after its last tasks. 30 s are for the JVM's shutdown.
        gracePeriod: secondsAfter(worker.drain, 2 * shutdownGracePeriod + 30),
        containers: {
          trino: {
            ...container,
            env: { ...container.env, DRAIN_USER: drain.key("user") },
            mounts: { ...mounts, "/run/trino": "drain", ...(spill && { [spillPath]: "spill" }) },
            preStop: ["sh", "-c", drainScript],
          },
        },
        volumes: {
          ...volumes,
          data: scratch({ size: worker.scratch }),
          drain: secretFiles({ "rules.json": drain.key("rules.json") }),
          ...(spill && { spill: scratch({ size: spill }) }),
        },
      },
    });
  }

  /** What coordinator and workers have in common. */
  private node(role: Role, { config, sources, catalogs, internal, exchange }: Shared) {
    const { resources } = config[role];
    const configuration = files(this, role, {
      ...nodeFiles(this.namespace.stack, resources.limits.memory),
      ...(role === "coordinator" ? coordinatorFiles(config) : workerFiles(config, this.host())),
      ...exchangeFiles(exchange),
    });
    const hasSecrets = Object.keys(sources.secrets).length > 0;
    return {
      checksums: {
        config: configuration.checksum,
        catalogs: catalogs.checksum,
        internal: internal.revision,
        ...sources.revisions,
      },
      // Nodes exchange data with each other.
      connects: [this.serves("coordinator", ["http"]), this.serves("worker", ["http"]), ...sources.connects],
      container: {
        image: this.image(config.image),
        command: ["sh", "-eu", "-c", startScript(sources.stripped)],
        env: { ...sources.env, SHARED_SECRET: internal.key("shared-secret") },
        ports,
        resources,
        // The image's health check fails until the server has started; the port opens earlier.
        startup: execProbe(["/usr/lib/trino/bin/health-check"], { every: 5, failures: 120 }),
        readiness: execProbe(["/usr/lib/trino/bin/health-check"]),
        liveness: httpProbe("/v1/info", "http", lenientLiveness),
      },
      mounts: {
        "/etc/trino": "config",
        "/etc/trino/catalog": "catalogs",
        "/data/trino": "data",
        "/tmp": "tmp",
        ...(hasSecrets && { [secretsPath]: "secrets" }),
      },
      volumes: {
        config: configFiles(configuration.name),
        catalogs: configFiles(catalogs.name),
        data: scratch({ size: "1Gi" }),
        tmp: scratch({ size: "1Gi" }),
        ...(hasSecrets && { secrets: secretFiles(sources.secrets) }),
      },
    };
  }
}

/** What both roles are made of. */
interface Shared {
  config: Config["trino"];
  sources: ReturnType<typeof catalogFiles>;
  /** The ConfigMap of the catalogs' files. */
  catalogs: ConfigFiles;
  internal: TypedSecret<"shared-secret">;
  /** Bucket of the intermediate data of queries that are retried. */
  exchange: Catalogs["exchange"];
}
