/*
 * The keys of a stack's configuration that the chart has. The others are refused in words: a key that nobody has looked
 * at would be a template that nobody has looked at.
 */

/** Keys that every component may have. */
const common =
  /(^|\.)(enabled|image|replicas|resources\.(requests|limits)\.(cpu|memory)|storage\.(size|storageClass)|service\.(type|annotations)|pods\..+|serviceAccount\.(name|annotations|roles\.[a-z]+\.name)|env|envFrom|auth\.(rotation|existingSecret)|ingress\.(host|className|tlsSecret))$/;

const own = new RegExp(
  `^(${[
    "global\\.(imageRegistry|cluster|imagePullPolicy|imagePullSecrets|jobDeadline|storageClass|protectData|priorityClasses|serviceAnnotations|pods\\..+)",
    "global\\.domain",
    "frontDoor\\.(className|annotations|tls\\.(existingSecret|issuer\\.(name|kind))|controller\\.(namespaceLabels|podLabels|cidr))",
    "frontDoor\\.(nessie|trino|flink|spark|noetl|prometheus|webApp|deployd)\\.allowWithoutLogin",
    "global\\.networkPolicies\\.(allowFrom|connections|outside)",
    "namespaces\\.[a-z]+\\.(name|create|quota\\.(cpu|memory|storage|pods)|limitRange\\.(cpu|memory))",
    "postgresql\\.(maxConnections|databases)",
    "redis\\.maxMemoryPercent",
    "minio\\.buckets",
    "trino\\.(worker\\.(drain|scratch)|kafkaTopics)",
    "flink\\.taskManager\\.slots",
    "spark\\.worker\\.(cores|memory|scratch)",
    "airflow\\.(scratch|worker\\.(concurrency|logs)|dags\\.(configMap|git\\.(repository|branch|folder|existingSecret)))",
    "superset\\.web\\.workers",
    "noetl\\.packageIndex",
    "(polls|djangoApps\\.\\*)\\.workers",
    "djangoApps\\.\\*\\.(application|interface|directory|healthPath)",
    "webApp\\.(environment|debug|backup\\.(schedule|keep))",
    "deployd\\.(repositories|tokensSecret)",
    "(postgresql|redis|nessie|kafka|flink|trino)\\.settings",
    "(flink\\.(jobManager|taskManager)|trino\\.(coordinator|worker))\\.settings",
    "monitoring\\.(prometheus\\.retention|monitors\\.labels|exporters\\.(postgresql|redis|statsd|jmx))",
  ].join("|")})$`,
);

/** Blocks that the program only hands to templates, which have functions for them. */
export const isWhole = (path: string): boolean => /(^|\.)pods$/.test(path);

/** What to do instead of a key that the chart does not have, by its path. */
const instead: Record<string, string> = {
  "global.networkPolicies.keda": "nothing here: the chart does not have autoscale.queue, which it is for",
  "frontDoor.login": "nothing here: the chart does not have oauth2-proxy; use ./platform",
  "frontDoor.routes": "nothing here: the chart routes by Ingress; for Gateway API use ./platform",
  "frontDoor.gateway": "nothing here: the chart routes by Ingress; for Gateway API use ./platform",
  cloudnativePg: "nothing here: the operator has a chart of its own, https://cloudnative-pg.github.io/charts",
  "noetl.instances": "nothing here: the chart has one instance, main, of the newest version; for others use ./platform",
};
/** Blocks that the chart does not have as a whole, although `common` has names of keys in them. */
const without = /^(frontDoor\.login|kafka\.auth|redis\.cache|spark\.history|monitoring\.alertmanager)(\.|$)/;
const cluster = /^(polls|djangoApps\.\*)\.(database|databaseCluster)(\.|$)/;

/** Why the chart does not have the value at a path; undefined if it has. */
export function missing(path: string): string | undefined {
  if (instead[path]) return instead[path];
  if (cluster.test(path)) return "nothing here: in the chart, applications have their databases in PostgreSQL";
  return !without.test(path) && (common.test(path) || own.test(path))
    ? undefined
    : "nothing here: the chart does not have this key; use ./platform";
}
