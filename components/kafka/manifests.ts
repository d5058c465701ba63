import { stringify } from "yaml";
import { derived } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import { properties, withSettings } from "../kit/settings.ts";
import { topicSettings, usualReplication } from "./schema.ts";
import { clientFile, loginPath, loginSettings } from "./users.ts";

/*
 * Kafka's configuration files and the scripts of its pods. Pure functions.
 */

export const ports = { kafka: 9092, controller: 9093 };
/** Port of the nodes among themselves, with logins. Without them they use the clients' port. */
export const nodesPort = 9094;
/** Mount of the volume. The image declares a volume at this path: a mount above it would be hidden. */
export const mount = "/var/lib/kafka/data";
/** A directory below the mount: the root of a file system may hold `lost+found`, and Kafka would read it as a topic. */
const logs = `${mount}/logs`;
export const run = "/opt/kafka/bin/kafka-run-class.sh";

/** The listeners of a node, at `host`. */
const listeners = (logins: boolean, host: string): string =>
  Object.entries({
    [logins ? "CLIENTS" : "PLAINTEXT"]: ports.kafka,
    ...(logins && { NODES: nodesPort }),
    CONTROLLER: ports.controller,
  })
    .map(([name, port]) => `${name}://${host}:${port}`)
    .join(",");

/**
 * Init container: writes the node's own settings, and formats an empty volume. A volume of a cluster with other voters
 * is refused: new nodes could outvote those with the data and start an empty cluster.
 */
export const prepareScript = (logins: boolean) =>
  `
node="\${HOSTNAME##*-}"
host="$HOSTNAME.$DOMAIN"
cat /etc/kafka/server.properties ${logins ? `${loginPath}/server.properties ` : ""}- > /run/kafka/server.properties <<END
node.id=$node
advertised.listeners=${listeners(logins, "$host")}
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

/** Arguments by which a tool connects. */
const connected = (logins: boolean) =>
  `--bootstrap-server "$SERVERS"${logins ? ` --command-config ${loginPath}/${clientFile}` : ""}`;

/** Job: creates topics with one partition, because Kafka keeps the order of messages only within one. Idempotent. */
export const topicsScript = (logins: boolean) =>
  `
for topic in $TOPICS; do
  /opt/kafka/bin/kafka-topics.sh ${connected(logins)} --create --if-not-exists --topic "$topic" \\
    --partitions 1 --replication-factor "$COPIES" \\
    --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1
done
`.trim();

/** Init container of a client: waits until the Job has created its topics. */
export const waitForTopicsScript = (logins: boolean) =>
  `
missing() {
  found="$(/opt/kafka/bin/kafka-topics.sh ${connected(logins)} --list)" || { echo "$SERVERS"; return; }
  for topic in $TOPICS; do printf '%s\\n' "$found" | grep -qx "$topic" || echo "$topic"; done
}
while waiting="$(missing)" && [ -n "$waiting" ]; do
  echo "waiting for Kafka and its Job $JOB:" $waiting
  sleep 5
done
`.trim();

/** Exit code of the Job below if a topic has more partitions than the stack says: EX_CONFIG of sysexits.h. */
export const tooManyPartitions = 78;

/**
 * Job: creates the stack's topics, adds partitions and sets what the stack says of each. It removes nothing. The tools
 * take a topic to change as a regular expression, so its dots are in brackets.
 */
export const declaredTopicsScript = (logins: boolean) =>
  `
topics() { /opt/kafka/bin/kafka-topics.sh ${connected(logins)} "$@"; }
for declared in $DECLARED; do
  topic="\${declared%%:*}"
  numbers="\${declared#*:}"
  partitions="\${numbers%:*}"
  exactly="$(printf %s "$topic" | sed 's/[.]/[.]/g')"
  topics --create --if-not-exists --topic "$topic" --partitions "$partitions" --replication-factor "\${numbers#*:}"
  found="$(topics --describe --topic "$exactly" | awk '$5 == "PartitionCount:" { print $6 }')"
  if [ "$found" -gt "$partitions" ]; then
    echo "kafka.topics.$topic.partitions: found $partitions; expected at least $found, which the topic has: Kafka removes no partition" >&2
    exit ${tooManyPartitions}
  fi
  if [ "$found" -lt "$partitions" ]; then topics --alter --topic "$exactly" --partitions "$partitions"; fi
  if [ -s "/etc/kafka/topics/$topic" ]; then
    /opt/kafka/bin/kafka-configs.sh ${connected(logins)} --alter --topic "$topic" --add-config-file "/etc/kafka/topics/$topic"
  fi
  echo "$topic has $partitions partitions and its settings"
done
`.trim();

/** The topics as the Job reads them: `name:partitions:replication`. */
export const declared = ({ topics, replicas }: Pick<Config["kafka"], "topics" | "replicas">): string =>
  Object.entries(topics)
    .map(([name, { partitions, replication = usualReplication(replicas) }]) => `${name}:${partitions}:${replication}`)
    .join(" ");

/** Annotation with these on the topics' ConfigMap: a preview and an update compare them. */
export const declaredAnnotation = "data-platform/topics";

/** The problem if topics go from `before` to `after` and Kafka cannot follow; undefined if it can. */
export function cannotFollow(before: string, after: string): string | undefined {
  const known = new Map(before.split(" ").map((one) => [one.split(":")[0], one]));
  for (const one of after.split(" ")) {
    const [topic, partitions, copies] = one.split(":");
    const [, had, hadCopies] = known.get(topic)?.split(":") ?? [];
    if (Number(partitions) < Number(had))
      return `kafka.topics.${topic}.partitions: found ${partitions}; expected at least ${had}, which the topic has: Kafka removes no partition`;
    if (hadCopies !== undefined && copies !== hadCopies)
      return `kafka.topics.${topic}.replication: found ${copies}; expected ${hadCopies}, which the topic has: kafka-reassign-partitions.sh changes it, as docs/kafka.md describes`;
  }
  return undefined;
}

/** The files with the topics' settings. */
export const topicFiles = ({ topics }: Config["kafka"]): Record<string, string> =>
  Object.fromEntries(
    Object.entries(topics).map(([name, topic]) => [
      name,
      Object.entries(topicSettings(topic))
        .map(([setting, value]) => `${setting}=${value}\n`)
        .join(""),
    ]),
  );

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
export function settings(
  { replicas, settings: own }: Config["kafka"],
  voters: string,
  logins: boolean,
): Record<string, string> {
  const replication = usualReplication(replicas);
  // One of three brokers may fail: acknowledged messages are still on two.
  const inSync = oneLess(replication);
  return {
    "server.properties": withSettings(
      `process.roles=broker,controller
controller.quorum.voters=${voters}
controller.listener.names=CONTROLLER
listeners=${listeners(logins, "")}
log.dirs=${logs}
${logins ? `\n${loginSettings}` : ""}
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
      own,
      properties,
    ),
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

/** One less, but at least one. */
const oneLess = derived("oneLess", (replication: number): number => Math.max(1, replication - 1));
