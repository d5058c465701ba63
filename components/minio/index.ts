import type * as pulumi from "@pulumi/pulumi";
import { derived, either, joined, others, when } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { BucketConnection, Endpoint } from "../kit/connection.ts";
import { several } from "../kit/deployment.ts";
import { expose, type Page, urlOf } from "../kit/ingress.ts";
import { runOnce } from "../kit/job.ts";
import { configFiles, drain, httpProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { credentials, password, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { bucketsScript, keyVariable, noClient, platformUser, policy, ports, startScript } from "./manifests.ts";

/** User and group of the server's process. The image works with any. */
const user = 1000;
/** The console. */
const page: Page = { role: "server", port: "console" };
/** MinIO's default region. */
const region = "us-east-1";

export interface MinioArgs<B extends string, C extends string> extends ComponentArgs<Config["minio"]> {
  /** Buckets that components connect to. `config.buckets` come on top. */
  buckets: readonly B[];
  /** Buckets of each client. With `global.separateUsers` each has a user of its own for them; otherwise all share one. */
  clients: Record<C, readonly B[]>;
}

/** The keys of one S3 user. */
type Keys = TypedSecret<"access-key" | "secret-key">;

/**
 * MinIO on one volume, or on four and more with erasure coding. `B` is the union of the buckets' names and `C` that of the
 * clients': a connection to another one does not compile.
 */
export class Minio<B extends string, C extends string> extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "s3", path: "/minio/v2/metrics/cluster" }];
  readonly endpoint: Endpoint;
  /** The root user, who administers the server. */
  readonly admin: TypedSecret<"root-user" | "root-password">;
  /** The keys of the platform's own user, for every bucket that no client has. */
  private readonly platform: Keys;
  /** The keys of each client's user, by its name. Empty if clients share the platform's. */
  private readonly users: Map<string, Keys>;
  private readonly bucketsJob: pulumi.Resource;
  private readonly url: string;

  constructor(name: string, args: MinioArgs<B, C>, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, buckets } = args;
    super("Minio", name, namespace, config, opts);
    this.url = `http://${this.host()}:${ports.s3}`;
    const { rotation } = config.auth;
    this.admin = credentials(this, "admin", config.auth, () => ({
      "root-user": "admin",
      "root-password": password(this, "admin", rotation),
    }));
    this.platform = TypedSecret.create(this, "platform", () => ({
      "access-key": platformUser,
      "secret-key": password(this, "platform", rotation),
    }));
    const clients = Object.entries<readonly B[]>(namespace.global.separateUsers ? args.clients : {});
    this.users = new Map(
      clients.map(([client]) => [
        client,
        TypedSecret.create(this, `user-${client}`, () => ({
          "access-key": client,
          "secret-key": password(this, `user-${client}`, rotation),
        })),
      ]),
    );
    const server = this.server(config);
    const front = service(this, { role: "server", ports, ...exposed(this, config.service), workload: server });
    expose(this, page, front);
    this.endpoint = endpoint(this, ports.s3);
    this.bucketsJob = this.createBuckets(
      config,
      [...buckets, ...others(config.buckets, buckets)],
      new Map<string, readonly string[]>(clients),
      [server, front],
    );
    this.registerOutputs({});
  }

  /** Connection of `client` to `bucket`, for pods in `namespace`. Its keys open the client's other buckets too. */
  bucket(bucket: B, namespace: NamespaceContext, client: C): BucketConnection {
    const keys = (this.users.get(client) ?? this.platform).in(namespace);
    return {
      endpoint: this.url,
      region,
      bucket,
      accessKey: keys.key("access-key"),
      secretKey: keys.key("secret-key"),
      revision: keys.revision,
      ready: [this.bucketsJob],
      ...this.serves("server", ["s3"]),
    };
  }

  private server({ image, replicas, resources, storage }: Config["minio"]) {
    const url = urlOf(this, page);
    const peers = `http://${this.name}-{0...${lastOrdinal(replicas)}}.${this.host("headless")}:${ports.s3}/data`;
    return stateful(this, {
      replicas,
      ports,
      storage,
      fixedReplicas: "minio.replicas",
      // No server becomes ready before it has found the others.
      parallel: true,
      pod: {
        user,
        role: "server",
        // Servers with replicas form one cluster.
        connects: [this.serves("server", ["s3"])],
        checksums: { admin: this.admin.revision },
        containers: {
          minio: {
            image: this.image(image),
            command: ["sh", "-eu", "-c", startScript(this.admin), "minio"],
            args: [
              either(
                several(replicas),
                () => peers,
                () => "/data",
              ),
            ],
            env: {
              MINIO_ROOT_USER: this.admin.key("root-user"),
              MINIO_ROOT_PASSWORD: this.admin.key("root-password"),
              MINIO_REGION: region,
              // The console's address for people, where it is not the server's own.
              ...when(url, () => ({ MINIO_BROWSER_REDIRECT_URL: url })),
              // Metrics are not secret, and Prometheus would need a token.
              MINIO_PROMETHEUS_AUTH_TYPE: "public",
              // Server and client do not look for newer versions on the internet.
              MINIO_UPDATE: "off",
              HOME: "/tmp",
            },
            ports,
            resources,
            mounts: { "/data": "data", "/tmp": "tmp" },
            // /health/ready answers before the server has found its peers and loaded its users; /cluster/read does not.
            startup: httpProbe("/minio/health/cluster/read", "s3", { every: 2, failures: 150 }),
            readiness: httpProbe("/minio/health/ready", "s3"),
            liveness: httpProbe("/minio/health/live", "s3", lenientLiveness),
            preStop: drain,
          },
        },
        volumes: { tmp: scratch({ size: "1Gi" }) },
      },
    });
  }

  private createBuckets(
    { image, resources }: Config["minio"],
    buckets: string[],
    clients: Map<string, readonly string[]>,
    dependsOn: pulumi.Resource[],
  ) {
    const taken = new Set([...clients.values()].flat());
    const access = files(this, "policy", {
      "policy.json": policy(buckets.filter((bucket) => !taken.has(bucket))),
      ...Object.fromEntries([...clients].map(([client, own]) => [`${client}.json`, policy([...own])])),
    });
    const users = [...this.users];
    return runOnce(
      this,
      "buckets",
      {
        user,
        connects: [this.serves("server", ["s3"])],
        checksums: {
          policy: access.checksum,
          admin: this.admin.revision,
          platform: this.platform.revision,
          ...Object.fromEntries(users.map(([client, keys]) => [`user-${client}`, keys.revision])),
        },
        containers: {
          mc: {
            image: this.image(image),
            command: ["sh", "-eu", "-c", bucketsScript(this.admin, this.url, [...clients.keys()])],
            env: {
              ROOT_USER: this.admin.key("root-user"),
              ROOT_PASSWORD: this.admin.key("root-password"),
              MC_CONFIG_DIR: "/tmp/mc",
              ACCESS_KEY: this.platform.key("access-key"),
              SECRET_KEY: this.platform.key("secret-key"),
              ...Object.fromEntries(users.map(([client, keys]) => [keyVariable(client), keys.key("secret-key")])),
              BUCKETS: joined(buckets, " "),
            },
            resources: limitedAs(resources, {
              requests: { cpu: "10m", memory: "64Mi" },
              limits: { memory: "256Mi" },
            }),
            mounts: { "/etc/minio": "policy", "/tmp": "tmp" },
          },
        },
        volumes: { policy: configFiles(access.name), tmp: scratch({ size: "16Mi" }) },
      },
      { dependsOn, retries: 6, fatalExitCode: noClient },
    );
  }
}

const lastOrdinal = derived("lastOrdinal", (replicas: number): number => replicas - 1);
