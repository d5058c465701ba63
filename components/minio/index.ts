import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { BucketConnection, Endpoint } from "../kit/connection.ts";
import { runOnce } from "../kit/job.ts";
import { configFiles, drain, httpProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { credentials, password, TypedSecret } from "../kit/secret.ts";
import { endpoint, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { bucketsScript, noClient, platformUser, policy, ports, startScript } from "./manifests.ts";

/** User and group of the server's process. The image works with any. */
const user = 1000;
/** MinIO's default region. */
const region = "us-east-1";

export interface MinioArgs<B extends string> extends ComponentArgs<Config["minio"]> {
  /** Buckets that components connect to. `config.buckets` come on top. */
  buckets: readonly B[];
}

/**
 * MinIO on one volume, or on four and more with erasure coding. `B` is the union of the buckets' names: a connection to
 * another one does not compile.
 */
export class Minio<B extends string> extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "s3", path: "/minio/v2/metrics/cluster" }];
  readonly endpoint: Endpoint;
  /** The root user, who administers the server. */
  readonly admin: TypedSecret<"root-user" | "root-password">;
  /** The keys of the platform's own user. */
  private readonly platform: TypedSecret<"access-key" | "secret-key">;
  private readonly bucketsJob: pulumi.Resource;
  private readonly url: string;

  constructor(name: string, { namespace, config, buckets }: MinioArgs<B>, opts?: pulumi.ComponentResourceOptions) {
    super("Minio", name, namespace, config, opts);
    this.url = `http://${this.host()}:${ports.s3}`;
    const { rotation } = config.auth;
    this.admin = credentials(this, "admin", config.auth, () => ({
      "root-user": "admin",
      "root-password": password(this, "admin", rotation),
    }));
    this.platform = TypedSecret.create(this, "platform", {
      "access-key": platformUser,
      "secret-key": password(this, "platform", rotation),
    });
    const server = this.server(config);
    const front = service(this, { role: "server", ports, type: config.service.type, workload: server });
    this.endpoint = endpoint(this, ports.s3);
    this.bucketsJob = this.createBuckets(
      config,
      [...new Set<string>([...buckets, ...config.buckets])],
      [server, front],
    );
    this.registerOutputs({});
  }

  /** Connection to `bucket` as the platform's own user, for pods in `namespace`. */
  bucket(bucket: B, namespace: NamespaceContext): BucketConnection {
    const keys = this.platform.in(namespace);
    return {
      endpoint: this.url,
      region,
      bucket,
      accessKey: keys.key("access-key"),
      secretKey: keys.key("secret-key"),
      revision: keys.revision,
      ready: [this.bucketsJob],
    };
  }

  private server({ image, replicas, resources, storage }: Config["minio"]) {
    const peers = `http://${this.name}-{0...${replicas - 1}}.${this.host("headless")}:${ports.s3}/data`;
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
        checksums: { admin: this.admin.revision },
        containers: {
          minio: {
            image: this.image(image),
            command: ["sh", "-eu", "-c", startScript(this.admin), "minio"],
            args: [replicas === 1 ? "/data" : peers],
            env: {
              MINIO_ROOT_USER: this.admin.key("root-user"),
              MINIO_ROOT_PASSWORD: this.admin.key("root-password"),
              MINIO_REGION: region,
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

  private createBuckets({ image, resources }: Config["minio"], buckets: string[], dependsOn: pulumi.Resource[]) {
    const access = files(this, "policy", { "policy.json": policy(buckets) });
    return runOnce(
      this,
      "buckets",
      {
        user,
        checksums: { policy: access.checksum, admin: this.admin.revision, platform: this.platform.revision },
        containers: {
          mc: {
            image: this.image(image),
            command: ["sh", "-eu", "-c", bucketsScript(this.admin, this.url)],
            env: {
              ROOT_USER: this.admin.key("root-user"),
              ROOT_PASSWORD: this.admin.key("root-password"),
              MC_CONFIG_DIR: "/tmp/mc",
              ACCESS_KEY: this.platform.key("access-key"),
              SECRET_KEY: this.platform.key("secret-key"),
              BUCKETS: buckets.join(" "),
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
