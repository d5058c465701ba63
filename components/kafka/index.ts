import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, KafkaConnection } from "../kit/connection.ts";
import { runOnce } from "../kit/job.ts";
import { share } from "../kit/jvm.ts";
import { configFiles, execProbe, lenientLiveness, limitedAs, scratch } from "../kit/pod.ts";
import { randomKey, TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";

const ports = { kafka: 9092, controller: 9093 };
const metricsPort = 9404;
/** User and group `appuser` of the official image. */
const user = 1000;
/** Where the volume is mounted: exactly where the image declares a volume, which would hide what lies above it. */
const mount = "/var/lib/kafka/data";
/** A directory of its own: the root of a new file system may hold `lost+found`, which Kafka takes for a broken topic. */
const logs = `${mount}/logs`;
const run = "/opt/kafka/bin/kafka-run-class.sh";
const agent = "/opt/exporter/jmx_prometheus_javaagent.jar";

/** Kafka without ZooKeeper (KRaft). Each node is broker and controller: one, or three and more that elect a leader. */
export class Kafka extends Component {
  readonly endpoint: Endpoint;
  /** How clients in the cluster find the brokers. They need no password. */
  readonly connection: KafkaConnection;

  override readonly metrics: Metrics[];

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["kafka"];
      /** Topics that components keep their data in: in order, for ever. */
      topics?: readonly string[];
      /** Image of the JMX exporter, if there is anyone to look at what Kafka tells by it. */
      exporter?: string | undefined;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, topics = [], exporter } = args;
    super("Kafka", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    this.metrics = exporter ? [{ role: "server", port: "metrics" }] : [];
    const { replicas } = config;
    const replication = Math.min(replicas, 3);

    // Made once and never again: nodes refuse a volume that was formatted for another cluster. It is no password, but
    // the stack's state marks whatever was drawn at random as a secret.
    const id = randomKey(this, "cluster-id", 16).apply((base64) => base64.replace(/=+$/, ""));
    const cluster = TypedSecret.create(this, "cluster", { id });

    const host = (ordinal: number | string) => `${name}-${ordinal}.${this.host("headless")}`;
    const voters = Array.from({ length: replicas }, (_, id) => `${id}@${host(id)}:${ports.controller}`).join(",");
    const configuration = files(this, "config", {
      ...settings(replication, voters),
      ...(exporter && { "metrics.yaml": told }),
    });
    const image = this.image(config.image);
    const heap = share(config.resources.limits.memory, 50);
    // For the server alone: a tool that someone runs beside it needs neither its heap nor its log.
    const jvm = [
      `KAFKA_HEAP_OPTS=-Xms${heap} -Xmx${heap}`,
      `KAFKA_OPTS=-XX:+ExitOnOutOfMemoryError${exporter ? ` -javaagent:${agent}=${metricsPort}:/etc/kafka/metrics.yaml` : ""}`,
      "KAFKA_LOG4J_OPTS=-Dlog4j2.configurationFile=/etc/kafka/log4j2.yaml",
    ];
    // Nothing is logged there, but the scripts of Kafka want a directory.
    const env = { LOG_DIR: "/tmp" };
    const mounts = { [mount]: "data", "/etc/kafka": "config", "/run/kafka": "node", "/tmp": "tmp" } as const;

    const server = stateful<string>(this, {
      replicas,
      ports,
      storage: config.storage,
      fixedReplicas: "kafka.replicas",
      // A node becomes ready when a majority is there, so none may wait for the one before it.
      parallel: true,
      pod: {
        user,
        role: "server",
        checksums: { config: configuration.checksum },
        // A broker hands its partitions over before it goes.
        gracePeriod: 120,
        init: {
          ...(exporter && {
            exporter: {
              image: this.image(exporter),
              command: ["cp", "/jmx_prometheus_javaagent.jar", agent],
              resources: config.resources,
              mounts: { "/opt/exporter": "exporter" as const },
            },
          }),
          prepare: {
            image,
            command: ["sh", "-eu", "-c", prepare],
            env: { ...env, CLUSTER_ID: cluster.key("id"), VOTERS: voters, DOMAIN: this.host("headless") },
            resources: config.resources,
            mounts,
          },
        },
        containers: {
          kafka: {
            image,
            command: ["env", ...jvm, run, "kafka.Kafka", "/run/kafka/server.properties"],
            env,
            ports: { ...ports, ...(exporter && { metrics: metricsPort }) },
            resources: config.resources,
            mounts: { ...mounts, ...(exporter && { "/opt/exporter": "exporter" }) },
            // A broker listens when it has read its logs and the controllers know it: after a crash that takes a while.
            startup: execProbe(["bash", "-c", answersClients], { every: 2, failures: 300 }),
            readiness: execProbe(["bash", "-c", answersClients]),
            liveness: execProbe(["bash", "-c", answersClients], lenientLiveness),
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          node: scratch({ size: "1Mi", memory: true }),
          tmp: scratch({ size: "64Mi" }),
          ...(exporter && { exporter: scratch({ size: "16Mi" }) }),
        },
      },
    });

    const front = service(this, {
      role: "server",
      ports: { kafka: ports.kafka },
      type: config.service.type,
      workload: server,
    });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.kafka };
    const bootstrapServers = `${this.host()}:${ports.kafka}`;

    const topicsMade =
      topics.length > 0 &&
      runOnce(
        this,
        "topics",
        {
          user,
          containers: {
            kafka: {
              image,
              command: ["sh", "-eu", "-c", makeTopics],
              env: {
                ...env,
                KAFKA_HEAP_OPTS: "-Xmx64m",
                SERVERS: bootstrapServers,
                COPIES: `${replication}`,
                TOPICS: topics.join(" "),
              },
              resources: limitedAs(config.resources, {
                requests: { cpu: "10m", memory: "128Mi" },
                limits: { memory: "256Mi" },
              }),
              mounts: { "/tmp": "tmp" },
            },
          },
          volumes: { tmp: scratch({ size: "64Mi" }) },
        },
        { dependsOn: [server, front] },
      );
    this.connection = { bootstrapServers, replication, ready: topicsMade ? [topicsMade] : [server, front] };
    this.registerOutputs({});
  }
}

/**
 * Writes down which node this is, and formats its volume if nobody has. The controllers' list is fixed when a cluster
 * is made: with another one, new nodes could outvote those with the data and begin an empty cluster.
 */
const prepare = `
node="\${HOSTNAME##*-}"
host="$HOSTNAME.$DOMAIN"
cat /etc/kafka/server.properties - > /run/kafka/server.properties <<END
node.id=$node
advertised.listeners=PLAINTEXT://$host:${ports.kafka},CONTROLLER://$host:${ports.controller}
END
if [ -e ${logs}/meta.properties ]; then
  before="$(cat ${mount}/voters)"
  if [ "$before" != "$VOTERS" ]; then
    echo "kafka.replicas: this volume belongs to a cluster of $before, not of $VOTERS; the number of nodes cannot change"
    exit 1
  fi
  exit
fi
printf '%s\\n' "$VOTERS" > ${mount}/voters
# With "=", since an id may begin with a dash.
exec ${run} kafka.tools.StorageTool format --config /run/kafka/server.properties "--cluster-id=$CLUSTER_ID"
`.trim();

/** One partition, since messages are in order within one only; and what is there already stays as it is. */
const makeTopics = `
for topic in $TOPICS; do
  /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$SERVERS" --create --if-not-exists --topic "$topic" \\
    --partitions 1 --replication-factor "$COPIES" \\
    --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1
done
`.trim();

/** Asks the broker which requests it knows, as every client does first, and looks for the answer without an error. */
const answersClients = `
exec 3<>/dev/tcp/127.0.0.1/${ports.kafka} || exit 1
printf '\\0\\0\\0\\12\\0\\22\\0\\0\\0\\0\\0\\7\\377\\377' >&3
answer="$(head -c 10 <&3 | od -An -tx1 | tr -d ' \\n')"
[[ "$answer" == ????????000000070000 ]]
`.trim();

/** Of the thousands of numbers that Kafka has, those that somebody looks at. Each object that is asked costs time. */
const told = stringify({
  includeObjectNames: [
    "kafka.server:type=ReplicaManager,name=*",
    "kafka.server:type=BrokerTopicMetrics,*",
    "kafka.controller:type=KafkaController,name=*",
    "kafka.network:type=RequestMetrics,name=TotalTimeMs,*",
  ],
  rules: [
    {
      pattern: "kafka.(server|controller)<type=(ReplicaManager|KafkaController), name=(\\w+)><>Value",
      name: "kafka_$2_$3",
    },
    {
      pattern: "kafka.server<type=BrokerTopicMetrics, name=(\\w+)PerSec, topic=(.+)><>Count",
      name: "kafka_topic_$1_total",
      labels: { topic: "$2" },
      type: "COUNTER",
    },
    {
      pattern: "kafka.server<type=BrokerTopicMetrics, name=(\\w+)PerSec><>Count",
      name: "kafka_broker_$1_total",
      type: "COUNTER",
    },
    {
      pattern:
        "kafka.network<type=RequestMetrics, name=TotalTimeMs, request=(Produce|FetchConsumer|FetchFollower)><>(\\d+)thPercentile",
      name: "kafka_request_milliseconds",
      labels: { request: "$1", quantile: "0.$2" },
    },
  ],
});

function settings(replication: number, voters: string) {
  // One of three may be away, and what was confirmed is still on two.
  const inSync = Math.max(1, replication - 1);
  return {
    "server.properties": `process.roles=broker,controller
controller.quorum.voters=${voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://:${ports.kafka},CONTROLLER://:${ports.controller}
log.dirs=${logs}

default.replication.factor=${replication}
min.insync.replicas=${inSync}
offsets.topic.replication.factor=${replication}
transaction.state.log.replication.factor=${replication}
transaction.state.log.min.isr=${inSync}
share.coordinator.state.topic.replication.factor=${replication}
share.coordinator.state.topic.min.isr=${inSync}

# Taken from the heap at the start; the default of 128 MiB would be a third of a small one.
log.cleaner.dedupe.buffer.size=33554432
`,
    "log4j2.yaml": `Configuration:
  status: warn
  Appenders:
    Console:
      name: console
      PatternLayout: { pattern: "[%d] %p %m (%c)%n" }
  Loggers:
    Root:
      level: info
      AppenderRef: { ref: console }
`,
  };
}
