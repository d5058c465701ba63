import * as pulumi from "@pulumi/pulumi";
import { bothOf, derived } from "../../config/derived.ts";
import { bytes, mebibytes, mebibytesOf, percentage } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import type { BucketConnection } from "../kit/connection.ts";
import { properties, withSettings } from "../kit/settings.ts";

/*
 * Trino's configuration files and the scripts of its pods. Pure functions. The catalogs are in catalogs.ts.
 */

export const ports = { http: 8080 };
/** Heap, in percent of the container's memory limit. The rest is for plugins' classes, compiled code and buffers. */
const heapPercent = 65;
/**
 * In percent of the heap: one query's memory on a node, and headroom for untracked memory. Their sum must stay below
 * 70.
 */
const [queryPercent, headroomPercent] = [40, 25];
/**
 * `shutdown.grace-period` in seconds: how long a stopping worker waits for the coordinator to notice, before and after
 * its last tasks. The coordinator polls every five seconds.
 */
export const shutdownGracePeriod = 10;

/** Start of the server. `stripped`: lines of shell that strip line ends from the catalogs' credentials. */
export const startScript = (stripped: string) => `${stripped}exec /usr/lib/trino/bin/launcher run --etc-dir /etc/trino`;

/**
 * preStop: the worker accepts no new tasks, finishes the running ones and exits. Waits for PID 1, which is the server.
 */
export const drainScript = `
printf 'X-Trino-User: %s\\n' "$DRAIN_USER" |
  curl --fail --silent --show-error --header @- --header 'Content-Type: application/json' \\
    --request PUT --data '"SHUTTING_DOWN"' http://localhost:${ports.http}/v1/info/state || exit 1
while kill -0 1 2>/dev/null; do sleep 1; done
`.trim();

/**
 * Access rules of workers: every user may read the system information, as by default, and `drainer` may stop the
 * worker.
 */
export const drainRules = (drainer: pulumi.Output<string>) =>
  pulumi.jsonStringify({
    system_information: [{ user: drainer, allow: ["read", "write"] }, { allow: ["read"] }],
  });

const withUnderscores = derived("withUnderscores", (name: string): string => name.replaceAll("-", "_"));

/** Heap for a container's memory limit, in mebibytes. */
const heapOf = (limit: string) => mebibytesOf(limit, heapPercent);
/** `query.max-memory-per-node`, in mebibytes. */
const queryMemory = (limit: string) => percentage(heapOf(limit), queryPercent);

/** Files that coordinator and workers have in common. Only the heap depends on the container's memory limit. */
export const nodeFiles = (stack: string, limit: string) => ({
  "node.properties": `node.environment=${withUnderscores(stack)}
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

/** Lines of `config.properties` that coordinator and workers have in common. */
const common = (limit: string) => `http-server.http.port=${ports.http}
# The log is what the container prints; a file beside it would only fill the disk.
http-server.log.enabled=false
internal-communication.shared-secret=\${ENV:SHARED_SECRET}
# ${queryPercent} % and ${headroomPercent} % of a heap of ${heapOf(limit)} MB, which is ${heapPercent} % of the memory limit, ${limit}.
query.max-memory-per-node=${queryMemory(limit)}MB
memory.heap-headroom-per-node=${percentage(heapOf(limit), headroomPercent)}MB
`;

/** Where workers spill: a volume of their own. The coordinator creates the directory and leaves it empty. */
export const spillPath = "/data/trino/spill";

/** Lines of `config.properties` for what every node must have alike: whether queries spill, and what is retried. */
const features = ({ worker, faultTolerance }: Config["trino"]) =>
  [
    ...(worker.spill
      ? [
          "spill-enabled=true",
          `spiller-spill-path=${spillPath}`,
          "# Nine tenths of the volume: a pod whose volume is too full is evicted.",
          `max-spill-per-node=${Math.floor(mebibytes(bytes(worker.spill)) * 0.9)}MB`,
          "# Trino would refuse to spill once the node's whole disk is 90 % full. The volume's size is the limit here.",
          "spiller-max-used-space-threshold=1.0",
        ]
      : []),
    ...(faultTolerance === "none" ? [] : [`retry-policy=${faultTolerance.toUpperCase()}`]),
  ]
    .map((line) => `${line}\n`)
    .join("");

/** `exchange-manager.properties`: where queries that are retried keep their intermediate data. */
export const exchangeFiles = (bucket: BucketConnection | undefined): Record<string, string> =>
  bucket
    ? {
        "exchange-manager.properties": `exchange-manager.name=filesystem
exchange.base-directories=s3://${bucket.bucket}/exchange
exchange.s3.endpoint=${bucket.endpoint}
exchange.s3.region=${bucket.region}
exchange.s3.path-style-access=true
exchange.s3.aws-access-key=\${ENV:S3_ACCESS_KEY}
exchange.s3.aws-secret-key=\${ENV:S3_SECRET_KEY}
`,
      }
    : {};

/** The files of the resource groups. Only the coordinator reads them. */
const resourceGroupFiles = ({ resourceGroups }: Config["trino"]): Record<string, string> =>
  resourceGroups
    ? {
        "resource-groups.properties": `resource-groups.configuration-manager=file
resource-groups.config-file=/etc/trino/resource-groups.json
`,
        "resource-groups.json": `${JSON.stringify(resourceGroups, null, 2)}\n`,
      }
    : {};

export const coordinatorFiles = (config: Config["trino"]) => ({
  "config.properties": withSettings(
    `coordinator=true
# Queries run on the workers alone: one that is too large takes no coordinator down.
node-scheduler.include-coordinator=false
discovery.uri=http://localhost:${ports.http}
# A proxy says by X-Forwarded-* what the client asked for; without this Trino answers 406 to such a request.
http-server.process-forwarded=true
${common(config.coordinator.resources.limits.memory)}# Effectively unlimited: query.max-memory-per-node is the limit. So a change of the number of workers does not restart the coordinator.
query.max-memory=100TB
${features(config)}`,
    bothOf(config.settings, config.coordinator.settings),
    properties,
  ),
  ...resourceGroupFiles(config),
});

export const workerFiles = (config: Config["trino"], coordinator: string) => ({
  "config.properties": withSettings(
    `coordinator=false
discovery.uri=http://${coordinator}:${ports.http}
${common(config.worker.resources.limits.memory)}shutdown.grace-period=${shutdownGracePeriod}s
${features(config)}`,
    bothOf(config.settings, config.worker.settings),
    properties,
  ),
  "access-control.properties": `access-control.name=file
security.config-file=/run/trino/rules.json
`,
});
