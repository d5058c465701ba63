// Proves that the whole test stack with Prometheus comes up on one node of 2 CPU and 20 GiB: every pod ready, none
// restarted.
// Does not prove that each component serves its clients: the files after this one do.
// Exercises: every component.
import { beforeAll, describe, expect, it } from "vitest";
import { bytes, millicores } from "../../config/quantity.ts";
import type { Live } from "../../kube/client.ts";
import { kube, mustRun, podList, servers, unchanged, unready, whole, wholeFile, wholeStack } from "./kit.ts";
import { expectedWarnings } from "./warnings.ts";

const namespaces = Object.values(whole);
let seconds: number;

beforeAll(async () => {
  const started = Date.now();
  await wholeStack();
  seconds = Math.round((Date.now() - started) / 1000);
});

const running = () => servers(namespaces);

describe("the whole test stack", () => {
  it("is ready, every pod at the same time, and nothing has restarted", async () => {
    for (const namespace of namespaces) expect(await unready(namespace)).toEqual([]);
    const pods = await running();
    for (const { metadata, status } of pods) {
      const containers = (status!.containerStatuses ?? []) as { name: string; ready: boolean; restartCount: number }[];
      for (const { name, ready, restartCount } of containers)
        expect({ pod: metadata.name, name, ready, restartCount }).toEqual({
          pod: metadata.name,
          name,
          ready: true,
          restartCount: 0,
        });
    }
    console.log(
      `${pods.length} pods ready ${seconds} s after the command was given\n${(await timeline(pods)).join("\n")}`,
    );
  });

  it("runs every component", async () => {
    const components = new Set((await running()).map(({ metadata }) => metadata.labels!["app.kubernetes.io/name"]));
    expect([...components].sort()).toEqual(
      [
        "airflow",
        "clickhouse",
        "deployd",
        "exporters",
        "flink",
        "kafka",
        "minio",
        "nessie",
        "noetl",
        "noetl-nats",
        "polls",
        "postgresql",
        "prometheus",
        "redis",
        "schema-registry",
        "spark",
        "superset",
        "trino",
        "web-app",
      ].sort(),
    );
  });

  it("fits one node of 2 CPU and 20 GiB", async () => {
    const requests = (await running()).flatMap(({ spec }) =>
      (spec.containers as { resources: { requests: { cpu: string; memory: string } } }[]).map(
        ({ resources }) => resources.requests,
      ),
    );
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    expect(sum(requests.map(({ cpu }) => millicores(cpu)))).toBeLessThanOrEqual(2_000);
    expect(sum(requests.map(({ memory }) => bytes(memory)))).toBeLessThanOrEqual(bytes("20Gi"));
    expect(new Set((await running()).map(({ spec }) => spec.nodeName)).size).toBe(1);
  });

  it("runs every container with a read-only root file system, under restricted", async () => {
    const containers = (await podList(namespaces)).flatMap(({ metadata, spec }) =>
      [...(spec.initContainers ?? []), ...spec.containers].map((one) => ({ pod: metadata.name, ...one })),
    );
    expect(containers.length).toBeGreaterThan(20);
    // No exceptions. List a necessary one here, with its reason.
    const exceptions = containers.filter(({ securityContext }) => securityContext.readOnlyRootFilesystem !== true);
    expect(exceptions.map(({ pod, name }) => `${pod}/${name}`)).toEqual([]);
    for (const name of namespaces) {
      const namespace = await kube().get({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
      expect(namespace!.metadata.labels!["pod-security.kubernetes.io/enforce"]).toBe("restricted");
    }
  });

  it("logs no warning at its start that the docs do not explain", async () => {
    const unexpected: string[] = [];
    for (const { metadata, spec } of await running()) {
      const component = metadata.labels!["app.kubernetes.io/name"]!;
      for (const { name } of spec.containers as { name: string }[]) {
        const pod = { apiVersion: "v1", kind: "Pod", metadata };
        const log = await kube().log(pod, { container: name, lines: 5_000 });
        const known = expectedWarnings[component] ?? [];
        for (const line of log.split("\n"))
          if (
            /\b(WARN(ING)?|ERROR|FATAL|SEVERE)\b|Warning:|Traceback/.test(line) &&
            !known.some((one) => one.test(line))
          )
            unexpected.push(`${component} ${name}: ${line.slice(0, 300)}`);
      }
    }
    expect(unexpected).toEqual([]);
  });

  it("is not changed by a second run", async () => {
    if (process.env.TEST_STACK) return;
    expect(await mustRun(["up", "--stack", "test", "--config-file", wholeFile()])).toMatch(unchanged);
  });
});

/** Creation time of each workload and how long its first pod took, in the order in which they became ready. */
async function timeline(pods: Live[]): Promise<string[]> {
  const at = (time: unknown) => Date.parse(time as string) / 1000;
  const rows = pods.map(({ metadata, status }) => {
    const conditions = status!.conditions as { type: string; lastTransitionTime: string }[];
    const readyAt = at(conditions.find(({ type }) => type === "Ready")!.lastTransitionTime);
    return { name: metadata.name, made: at(metadata.creationTimestamp), readyAt };
  });
  const first = Math.min(...rows.map(({ made }) => made));
  return rows
    .sort((a, b) => a.readyAt - b.readyAt)
    .map(({ name, made, readyAt }) => `  ${name}: made at ${made - first} s, ready at ${readyAt - first} s`);
}
