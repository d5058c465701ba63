import { stringify } from "yaml";

/*
 * Kafka's configuration files and the scripts of its pods. Pure functions.
 */

export const ports = { kafka: 9092, controller: 9093 };
/** Mount of the volume. The image declares a volume at this path: a mount above it would be hidden. */
export const mount = "/var/lib/kafka/data";
/** A directory below the mount: the root of a file system may hold `lost+found`, and Kafka would read it as a topic. */
const logs = `${mount}/logs`;
export const run = "/opt/kafka/bin/kafka-run-class.sh";

/**
 * Init container: writes the node's own settings, and formats an empty volume. A volume of a cluster with other voters
 * is refused: new nodes could outvote those with the data and start an empty cluster.
 */
export const prepareScript = `
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

/** Job: creates topics with one partition, because Kafka keeps the order of messages only within one. Idempotent. */
export const topicsScript = `
for topic in $TOPICS; do
  /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$SERVERS" --create --if-not-exists --topic "$topic" \\
    --partitions 1 --replication-factor "$COPIES" \\
    --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1
done
`.trim();

/** Probe: sends an ApiVersions request, every client's first one, and expects a response without an error code. */
export const apiVersionsProbe = `
exec 3<>/dev/tcp/127.0.0.1/${ports.kafka} || exit 1
printf '\\0\\0\\0\\12\\0\\22\\0\\0\\0\\0\\0\\7\\377\\377' >&3
answer="$(head -c 10 <&3 | od -An -tx1 | tr -d ' \\n')"
[[ "$answer" == ????????000000070000 ]]
`.trim();

/**
 * Rules of the JMX exporter: only the metrics that dashboards use. Kafka has thousands, and reading each costs time.
 */
export const exporterRules = stringify({
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

/** The server's configuration files. The node's own settings come from `prepareScript`. */
export function settings(replication: number, voters: string): Record<string, string> {
  // One of three brokers may fail: acknowledged messages are still on two.
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
