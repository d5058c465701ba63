import * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type {
  BucketConnection,
  CatalogConnection,
  ClickhouseConnection,
  Endpoint,
  KafkaConnection,
  SqlConnection,
  TrinoConnection,
} from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { share } from "../kit/jvm.ts";
import { shellPassword } from "../kit/password.ts";
import { configFiles, execProbe, httpProbe, lenientLiveness, scratch, secretFiles } from "../kit/pod.ts";
import { credentials, password, type SecretKey, TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";

const ports = { http: 8080 };
/** User and group `trino` of the official image. */
const user = 1000;
/** Of a container's memory limit. The rest is for classes of many plugins, compiled code and buffers. */
const heapPercent = 65;
/** Of the heap: what one query may take on a node, and what Trino does not count. Together they stay under 70. */
const [queryPercent, headroomPercent] = [40, 25];
/** The name that Prometheus asks under: Trino wants one of everybody. */
const monitor = "monitor";
/** Seconds in which the coordinator, which looks every five, sees what a worker says of itself. */
const noticed = 10;

/** What Trino reads and writes: a catalog for each that is there. */
interface Catalogs {
  iceberg: { catalog: CatalogConnection; bucket: BucketConnection };
  postgresql?: SqlConnection;
  clickhouse?: ClickhouseConnection;
  kafka?: KafkaConnection;
}

/**
 * Trino: one coordinator, which takes queries and plans them, and workers, which run them. A worker that is told to
 * stop finishes what it runs.
 */
export class Trino extends Component {
  override readonly metrics: Metrics[] = ["coordinator", "worker"].map((role) => ({
    role,
    port: "http",
    user: monitor,
  }));
  readonly endpoint: Endpoint;
  readonly connection: TrinoConnection;

  constructor(
    name: string,
    args: { namespace: NamespaceContext; config: Config["trino"]; catalogs: Catalogs },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config } = args;
    super("Trino", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    const { rotation } = config.auth;

    /** Coordinator and workers know each other by it. */
    const internal = credentials(this, "internal", config.auth, () => ({
      "shared-secret": password(this, "internal", rotation),
    }));
    // Whoever may say so can stop a worker, and over plain HTTP a name is all that Trino asks for: so it is a secret.
    const drainer = password(this, "drain", rotation);
    const drain = TypedSecret.create(this, "drain", { user: drainer, "rules.json": drainRules(drainer) });

    const catalogs = catalogFiles(args.catalogs, config.kafkaTopics);
    const catalogConfig = files(this, "catalogs", catalogs.files);
    const node = (role: "coordinator" | "worker", { resources }: Config["trino"]["worker" | "coordinator"]) => {
      const configuration = files(this, role, {
        ...everyNode(namespace.stack, resources.limits.memory),
        ...(role === "coordinator" ? coordinatorFiles(config) : workerFiles(config, this.host())),
      });
      return {
        configuration,
        checksums: {
          config: configuration.checksum,
          catalogs: catalogConfig.checksum,
          internal: internal.revision,
          ...catalogs.revisions,
        },
        container: {
          image: this.image(config.image),
          command: ["sh", "-eu", "-c", start(catalogs.env)],
          env: { ...catalogs.env, SHARED_SECRET: internal.key("shared-secret") },
          ports,
          resources,
          // The image's own check: it fails while the server is starting, when its port answers already.
          startup: execProbe(["/usr/lib/trino/bin/health-check"], { every: 5, failures: 120 }),
          readiness: execProbe(["/usr/lib/trino/bin/health-check"]),
          liveness: httpProbe("/v1/info", "http", lenientLiveness),
        },
        mounts: {
          "/etc/trino": "config",
          "/etc/trino/catalog": "catalogs",
          "/data/trino": "data",
          "/tmp": "tmp",
        } as const,
        volumes: {
          config: configFiles(configuration.name),
          catalogs: configFiles(catalogConfig.name),
          data: scratch({ size: "1Gi" }),
          tmp: scratch({ size: "1Gi" }),
        },
      };
    };

    // All start at once: workers look for the coordinator until it answers, and a catalog connects at its first query.
    const first = node("coordinator", config.coordinator);
    const coordinator = deployment(this, {
      suffix: "coordinator",
      replicas: 1,
      pod: {
        user,
        role: "coordinator",
        checksums: first.checksums,
        containers: { trino: { ...first.container, mounts: first.mounts } },
        volumes: first.volumes,
      },
    });
    const front = service(this, {
      role: "coordinator",
      ports,
      type: config.service.type,
      workload: coordinator,
    });

    const other = node("worker", config.worker);
    const workers = deployment(this, {
      suffix: "worker",
      replicas: config.worker.replicas,
      pod: {
        user,
        role: "worker",
        checksums: { ...other.checksums, drain: drain.revision },
        // Twice for the coordinator to notice, before and after the work, and what the JVM takes to end.
        gracePeriod: config.worker.drain + 2 * noticed + 30,
        containers: {
          trino: {
            ...other.container,
            env: { ...other.container.env, DRAIN_USER: drain.key("user") },
            mounts: { ...other.mounts, "/run/trino": "drain" },
            preStop: ["sh", "-c", finishWork],
          },
        },
        volumes: { ...other.volumes, drain: secretFiles({ "rules.json": drain.key("rules.json") }) },
      },
    });

    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.http };
    this.connection = { host: this.host(), port: ports.http, ready: [coordinator, front, workers, ...catalogs.ready] };
    this.registerOutputs({});
  }
}

/** A user or password that someone else keeps may end in a line end: Trino would send it along. */
const start = (env: Record<string, SecretKey>) =>
  [
    ...Object.entries(env).map(([variable, key]) => shellPassword(variable, key)),
    "exec /usr/lib/trino/bin/launcher run --etc-dir /etc/trino",
  ].join("\n");

/** A worker takes nothing new, ends what it runs, and then itself: its process is the container's first. */
const finishWork = `
printf 'X-Trino-User: %s\\n' "$DRAIN_USER" |
  curl --fail --silent --show-error --header @- --header 'Content-Type: application/json' \\
    --request PUT --data '"SHUTTING_DOWN"' http://localhost:${ports.http}/v1/info/state || exit 1
while kill -0 1 2>/dev/null; do sleep 1; done
`.trim();

/** Trino's default rules let nobody stop a worker. These let one user do so, and everyone read, as by default. */
const drainRules = (drainer: pulumi.Output<string>) =>
  pulumi.jsonStringify({
    system_information: [{ user: drainer, allow: ["read", "write"] }, { allow: ["read"] }],
  });

/** Mebibytes of heap within a container's memory limit. */
const heapOf = (limit: string) => Number.parseInt(share(limit, heapPercent), 10);
const queryMemory = (limit: string) => Math.floor((heapOf(limit) * queryPercent) / 100);

/** What is the same on every node but for its size. */
const everyNode = (stack: string, limit: string) => ({
  "node.properties": `node.environment=${stack.replaceAll("-", "_")}
# The pod's name, so that what Trino says of its nodes can be looked up.
node.id=\${ENV:HOSTNAME}
node.data-dir=/data/trino
`,
  "jvm.config": `-server
-Xmx${heapOf(limit)}M
-XX:+UseG1GC
-XX:+ExplicitGCInvokesConcurrent
-XX:+ExitOnOutOfMemoryError
-XX:-OmitStackTraceInFastThrow
-XX:ReservedCodeCacheSize=256M
-Djdk.attach.allowAttachSelf=true
-XX:+EnableDynamicAgentLoading
--enable-native-access=ALL-UNNAMED
--sun-misc-unsafe-memory-access=allow
`,
  "log.properties": `io.trino=INFO
`,
});

const common = (limit: string) => `http-server.http.port=${ports.http}
# The log is what the container prints; a file beside it would only fill the disk.
http-server.log.enabled=false
internal-communication.shared-secret=\${ENV:SHARED_SECRET}
# ${queryPercent} % and ${headroomPercent} % of a heap of ${heapOf(limit)} MB, which is ${heapPercent} % of the memory limit, ${limit}.
query.max-memory-per-node=${queryMemory(limit)}MB
memory.heap-headroom-per-node=${Math.floor((heapOf(limit) * headroomPercent) / 100)}MB
`;

const coordinatorFiles = ({ coordinator }: Config["trino"]) => ({
  "config.properties": `coordinator=true
# Queries run on the workers alone: one that is too large takes no coordinator down.
node-scheduler.include-coordinator=false
discovery.uri=http://localhost:${ports.http}
# A proxy says by X-Forwarded-* what the client asked for; without this Trino answers 406 to such a request.
http-server.process-forwarded=true
${common(coordinator.resources.limits.memory)}# What each worker gives a query bounds it: so more workers give it more, and the coordinator need not start anew.
query.max-memory=100TB
`,
});

const workerFiles = ({ worker }: Config["trino"], coordinator: string) => ({
  "config.properties": `coordinator=false
discovery.uri=http://${coordinator}:${ports.http}
${common(worker.resources.limits.memory)}shutdown.grace-period=${noticed}s
`,
  "access-control.properties": `access-control.name=file
security.config-file=/run/trino/rules.json
`,
});

/** One file for each catalog, and what they refer to: Trino fills in \`\${ENV:…}\`, so no password stands in a file. */
function catalogFiles({ iceberg, postgresql, clickhouse, kafka }: Catalogs, topics: string[]) {
  const { catalog, bucket } = iceberg;
  const env: Record<string, SecretKey> = { S3_ACCESS_KEY: bucket.accessKey, S3_SECRET_KEY: bucket.secretKey };
  const revisions: Record<string, pulumi.Output<string>> = { bucket: bucket.revision };
  const files: Record<string, string> = {
    "tpch.properties": "connector.name=tpch\n",
    "iceberg.properties": `connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri=${catalog.uri}
iceberg.rest-catalog.warehouse=${catalog.warehouse}
fs.native-s3.enabled=true
s3.endpoint=${bucket.endpoint}
s3.region=${bucket.region}
s3.path-style-access=true
s3.aws-access-key=\${ENV:S3_ACCESS_KEY}
s3.aws-secret-key=\${ENV:S3_SECRET_KEY}
`,
  };
  const jdbc = (name: string, from: SqlConnection | undefined, url: (from: SqlConnection) => string) => {
    if (!from) return;
    const prefix = name.toUpperCase();
    env[`${prefix}_USERNAME`] = from.username;
    env[`${prefix}_PASSWORD`] = from.password;
    revisions[name] = from.revision;
    files[`${name}.properties`] = `connector.name=${name}
connection-url=${url(from)}
connection-user=\${ENV:${prefix}_USERNAME}
connection-password=\${ENV:${prefix}_PASSWORD}
`;
  };
  jdbc("postgresql", postgresql, ({ host, port, database }) => `jdbc:postgresql://${host}:${port}/${database}`);
  jdbc("clickhouse", clickhouse, ({ host, port }) => `jdbc:clickhouse://${host}:${port}/`);
  if (kafka)
    files["kafka.properties"] = `connector.name=kafka
kafka.nodes=${kafka.bootstrapServers}
kafka.table-names=${topics.join(",")}
# A topic without a description of its fields has the message itself and where it stands, which are internal columns.
kafka.hide-internal-columns=false
`;
  const there = [catalog, bucket, postgresql, clickhouse, kafka].filter((one) => one !== undefined);
  return { files, env, revisions, ready: there.flatMap(({ ready }) => ready) };
}
