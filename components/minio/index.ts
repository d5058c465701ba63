import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { BucketConnection, Endpoint } from "../kit/connection.ts";
import { runOnce } from "../kit/job.ts";
import { shellPassword } from "../kit/password.ts";
import { configFiles, drain, httpProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { credentials, password, type SecretKey, TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";

const ports = { s3: 9000, console: 9001 };
/** User and group of the server's process; the image asks for none in particular. */
const user = 1000;
/** Exit code of the Job where the image has no client: sysexits.h's "configuration error". */
const noClient = 78;
/** What MinIO answers clients that ask where a bucket is. */
const region = "us-east-1";
/** The platform's own user: it reads and writes the platform's buckets and nothing else. */
const platformUser = "platform";

/**
 * MinIO on one volume, or on four and more with erasure coding. `B` are the names of the buckets that components ask for:
 * a connection to another does not compile.
 */
export class Minio<B extends string> extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "s3", path: "/minio/v2/metrics/cluster" }];
  readonly endpoint: Endpoint;
  /** The root user, who administers the server. */
  readonly admin: TypedSecret<"root-user" | "root-password">;
  private readonly bucketsMade: pulumi.Resource;
  private readonly platform: TypedSecret<"access-key" | "secret-key">;

  constructor(
    name: string,
    args: { namespace: NamespaceContext; config: Config["minio"]; buckets: readonly B[] },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config } = args;
    super("Minio", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    const { rotation } = config.auth;

    this.admin = credentials(this, "admin", config.auth, () => ({
      "root-user": "admin",
      "root-password": password(this, "admin", rotation),
    }));
    this.platform = TypedSecret.create(this, "platform", {
      "access-key": platformUser,
      "secret-key": password(this, "platform", rotation),
    });

    const { replicas } = config;
    const image = this.image(config.image);
    const server = stateful(this, {
      replicas,
      ports,
      storage: config.storage,
      fixedReplicas: "minio.replicas",
      // Servers become ready when they see each other, so none may wait for the one before it.
      parallel: true,
      pod: {
        user,
        role: "server",
        checksums: { admin: this.admin.revision },
        containers: {
          minio: {
            image,
            command: ["sh", "-eu", "-c", start(this.admin), "minio"],
            args: [
              replicas === 1
                ? "/data"
                : `http://${name}-{0...${replicas - 1}}.${this.host("headless")}:${ports.s3}/data`,
            ],
            env: {
              MINIO_ROOT_USER: this.admin.key("root-user"),
              MINIO_ROOT_PASSWORD: this.admin.key("root-password"),
              MINIO_REGION: region,
              // Numbers are no secret; a token for whoever reads them would be one more that could be lost.
              MINIO_PROMETHEUS_AUTH_TYPE: "public",
              // Neither asks the internet for a newer version of itself.
              MINIO_UPDATE: "off",
              HOME: "/tmp",
            },
            ports,
            resources: config.resources,
            mounts: { "/data": "data", "/tmp": "tmp" },
            // "ready" is what a server says before it has found the others and knows its users; this it says after.
            startup: httpProbe("/minio/health/cluster/read", "s3", { every: 2, failures: 150 }),
            readiness: httpProbe("/minio/health/ready", "s3"),
            liveness: httpProbe("/minio/health/live", "s3", lenientLiveness),
            preStop: drain,
          },
        },
        volumes: { tmp: scratch({ size: "1Gi" }) },
      },
    });
    const front = service(this, { role: "server", ports, type: config.service.type, workload: server });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.s3 };

    const buckets = [...new Set<string>([...args.buckets, ...config.buckets])];
    const access = files(this, "policy", { "policy.json": policy(buckets) });
    this.bucketsMade = runOnce(
      this,
      "buckets",
      {
        user,
        checksums: { policy: access.checksum, admin: this.admin.revision, platform: this.platform.revision },
        containers: {
          mc: {
            image,
            command: ["sh", "-eu", "-c", setUp(this.admin, `http://${this.host()}:${ports.s3}`)],
            env: {
              ROOT_USER: this.admin.key("root-user"),
              ROOT_PASSWORD: this.admin.key("root-password"),
              MC_CONFIG_DIR: "/tmp/mc",
              ACCESS_KEY: this.platform.key("access-key"),
              SECRET_KEY: this.platform.key("secret-key"),
              BUCKETS: buckets.join(" "),
            },
            resources: limitedAs(config.resources, {
              requests: { cpu: "10m", memory: "64Mi" },
              limits: { memory: "256Mi" },
            }),
            mounts: { "/etc/minio": "policy", "/tmp": "tmp" },
          },
        },
        volumes: { policy: configFiles(access.name), tmp: scratch({ size: "16Mi" }) },
      },
      { dependsOn: [server, front], retries: 6, hopeless: noClient },
    );
    this.registerOutputs({});
  }

  /** How to reach a bucket as the platform's own user, from `namespace`. */
  bucket(bucket: B, namespace: NamespaceContext): BucketConnection {
    const keys = this.platform.in(namespace);
    return {
      endpoint: `http://${this.host()}:${ports.s3}`,
      region,
      bucket,
      accessKey: keys.key("access-key"),
      secretKey: keys.key("secret-key"),
      revision: keys.revision,
      ready: [this.bucketsMade],
    };
  }
}

/** What the platform's user may do: everything in these buckets, nothing outside them. */
const policy = (buckets: string[]) =>
  JSON.stringify(
    {
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Action: ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
          Resource: buckets.map((bucket) => `arn:aws:s3:::${bucket}`),
        },
        {
          Effect: "Allow",
          Action: [
            "s3:GetObject",
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
          ],
          Resource: buckets.map((bucket) => `arn:aws:s3:::${bucket}/*`),
        },
      ],
    },
    null,
    2,
  );

/** MinIO drops spaces at both ends of these by itself, and clients do not. */
const trimmed = (variable: string, key: SecretKey) =>
  `
${shellPassword(variable, key)}
case "$${variable}" in " "* | *" ") echo "${key.title}: expected no space at its beginning or end" >&2; exit 1 ;; esac
`.trim();

const start = (root: TypedSecret<"root-user" | "root-password">) =>
  `
${trimmed("MINIO_ROOT_USER", root.key("root-user"))}
${trimmed("MINIO_ROOT_PASSWORD", root.key("root-password"))}
exec minio server --console-address :${ports.console} "$@"
`.trim();

/** Buckets, the platform's policy and its user. It may run any number of times; a bucket is never removed. */
const setUp = (root: TypedSecret<"root-user" | "root-password">, url: string) =>
  `
command -v mc >/dev/null || {
  echo "minio.image: this image has no mc, MinIO's client, which makes the buckets: see docs/minio.md" >&2
  exit ${noClient}
}
${trimmed("ROOT_USER", root.key("root-user"))}
${trimmed("ROOT_PASSWORD", root.key("root-password"))}
export MC_HOST_anybody=${url}
until mc ready anybody >/dev/null 2>&1; do echo "waiting for MinIO"; sleep 1; done
# By standard input, as below. In the address that MC_HOST_server would be, a colon of the password begins a token.
printf '%s\\n%s\\n' "$ROOT_USER" "$ROOT_PASSWORD" | mc alias set server ${url}
for bucket in $BUCKETS; do mc mb --ignore-existing "server/$bucket"; done
mc admin policy create server ${platformUser} /etc/minio/policy.json
# By standard input: as arguments every process could read them. A user who is there gets the new key.
printf '%s\\n%s\\n' "$ACCESS_KEY" "$SECRET_KEY" | mc admin user add server
attached="$(mc admin policy attach server ${platformUser} --user "$ACCESS_KEY" 2>&1)" ||
  case "$attached" in
    *"already in effect"*) ;;
    *) echo "$attached" >&2; exit 1 ;;
  esac
`.trim();
