/*
 * The keys of a stack's configuration that the chart has. The others are refused in words: a key that nobody has looked
 * at would be a template that nobody has looked at.
 */

/** Keys that every component may have. */
const common =
  /(^|\.)(enabled|image|replicas|resources\.(requests|limits)\.(cpu|memory)|storage\.(size|storageClass)|service\.type|auth\.(rotation|existingSecret)|ingress\.(host|className|tlsSecret))$/;

const own = new RegExp(
  `^(${[
    "global\\.(imageRegistry|cluster|imagePullPolicy|imagePullSecrets|jobDeadline|storageClass|protectData)",
    "namespaces\\.[a-z]+\\.(name|create|quota\\.(cpu|memory|storage|pods)|limitRange\\.(cpu|memory))",
    "postgresql\\.(maxConnections|databases)",
    "redis\\.maxMemoryPercent",
    "minio\\.buckets",
    "trino\\.(worker\\.drain|kafkaTopics)",
    "flink\\.taskManager\\.slots",
    "spark\\.worker\\.(cores|memory|scratch)",
    "airflow\\.(worker\\.concurrency|dags\\.(configMap|git\\.(repository|branch|folder|existingSecret)))",
    "superset\\.web\\.workers",
    "noetl\\.packageIndex",
    "(polls|djangoApps\\.\\*)\\.(workers|env|envFrom)",
    "djangoApps\\.\\*\\.(application|interface|directory|healthPath)",
    "webApp\\.(environment|debug|backup\\.(schedule|keep))",
    "deployd\\.(repositories|tokensSecret)",
    "monitoring\\.(prometheus\\.retention|monitors\\.labels|exporters\\.(postgresql|redis|statsd|jmx))",
  ].join("|")})$`,
);

/** What to do instead of a key that the chart does not have, by its path. */
const instead: Record<string, string> = {
  cloudnativePg: "nothing here: the operator has a chart of its own, https://cloudnative-pg.github.io/charts",
  "noetl.instances": "nothing here: the chart has one instance, main, of the newest version; for others use ./platform",
};
/** Blocks that the chart does not have as a whole, although `common` has names of keys in them. */
const without = /^(frontDoor|global\.networkPolicies|redis\.cache|spark\.history)(\.|$)/;
const cluster = /^(polls|djangoApps\.\*)\.(database|databaseCluster)(\.|$)/;

/** Why the chart does not have the value at a path; undefined if it has. */
export function missing(path: string): string | undefined {
  if (instead[path]) return instead[path];
  if (cluster.test(path)) return "nothing here: in the chart, applications have their databases in PostgreSQL";
  return !without.test(path) && (common.test(path) || own.test(path))
    ? undefined
    : "nothing here: the chart does not have this key; use ./platform";
}
