// Proves that pods wait for the Job that sets up their database, also where nothing but Kubernetes orders them: which pods
// do, for what, with which login, and what a change of the stack makes them wait for.
// Does not prove that a wait ends: set-up.test.ts of the unit tests runs the scripts, and the cluster tests run the software.
import { beforeAll, describe, expect, it } from "vitest";
import { bytes, millicores } from "../../config/quantity.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { changed, type Evaluated, evaluatedWithSecrets, named, stacks } from "./stacks.ts";

/** What each workload waits for: the start of the name of its component's Job. */
const jobs: Record<string, string> = {
  "airflow-api-server": "airflow-setup",
  "airflow-dag-processor": "airflow-setup",
  "airflow-scheduler": "airflow-setup",
  "airflow-triggerer": "airflow-setup",
  "airflow-worker": "airflow-setup",
  noetl: "noetl-schema",
  polls: "polls-migrate",
  superset: "superset-setup",
  "superset-beat": "superset-setup",
  "superset-worker": "superset-setup",
};

const isWorkload = ({ kind }: KubernetesObject) => kind === "Deployment" || kind === "StatefulSet";
const jobOf = ({ objects }: Evaluated, name: string): KubernetesObject =>
  objects.find(({ kind, metadata }) => kind === "Job" && metadata.name.startsWith(`${name}-`))!;
const workload = ({ objects }: Evaluated, name: string): KubernetesObject =>
  objects.find((object) => isWorkload(object) && object.metadata.name === name)!;

interface Container {
  name: string;
  image: string;
  command: string[];
  env: { name: string; value?: string; valueFrom?: object }[];
  resources: { requests: { cpu: string; memory: string } };
}
const waits = ({ spec }: KubernetesObject): Container[] =>
  (spec.template.spec.initContainers ?? []).filter(({ name }: Container) => name.startsWith("wait-for-"));
const waitOf = (program: Evaluated, name: string): Container => waits(workload(program, name))[0]!;
const variable = ({ env }: Container, name: string) => env.find((one) => one.name === name);

describe.each(stacks)("in %s", (stack) => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await evaluatedWithSecrets(stack);
  });

  it("each workload that Pulumi creates after a Job of its own component waits for that Job itself", () => {
    const ordered = program.manifests.filter(({ object, dependsOn }) => {
      const label = (one: { metadata: { labels?: Record<string, string> } } | undefined) =>
        one?.metadata.labels?.["app.kubernetes.io/instance"];
      const before = program.manifests.filter(({ key }) => dependsOn.includes(key)).map((one) => one.object);
      return (
        isWorkload(object as KubernetesObject) &&
        before.some((one) => one.kind === "Job" && label(one as never) === label(object as never))
      );
    });
    const names = (objects: KubernetesObject[]) => objects.map(({ metadata }) => metadata.name).sort();
    const waiting = program.objects.filter(
      (object) => isWorkload(object) && waits(object).some(({ name }) => name !== "wait-for-topics"),
    );
    expect(names(waiting)).toEqual(names(ordered.map(({ object }) => object as KubernetesObject)));
    expect(names(waiting)).toEqual(Object.keys(jobs).filter((name) => workload(program, name)));
  });

  it("it waits last, with the image of its container and no larger requests", () => {
    for (const name of Object.keys(jobs).filter((one) => workload(program, one))) {
      const { initContainers, containers } = workload(program, name).spec.template.spec;
      const wait = waitOf(program, name);
      expect(initContainers.at(-1)).toBe(wait);
      expect(wait.image).toBe(containers[0].image);
      const { requests } = containers[0].resources;
      expect(millicores(wait.resources.requests.cpu)).toBeLessThanOrEqual(millicores(requests.cpu));
      expect(bytes(wait.resources.requests.memory)).toBeLessThanOrEqual(bytes(requests.memory));
    }
  });

  it("a Deployment does not count as failed before its Job does", () => {
    for (const [name, job] of Object.entries(jobs)) {
      const found = workload(program, name);
      if (found?.kind !== "Deployment") continue;
      const { activeDeadlineSeconds } = jobOf(program, job).spec;
      expect(found.spec.progressDeadlineSeconds).toBe(activeDeadlineSeconds + 600);
    }
  });
});

it("the registry of schemas waits for its topics, and as long as their Job may take", async () => {
  const program = await evaluatedWithSecrets("test");
  const registry = workload(program, "schema-registry");
  const [wait] = waits(registry) as [Container];
  const job = jobOf(program, "kafka-topics");
  const [creator] = job.spec.template.spec.containers as [Container];
  expect(wait.image).toBe(creator.image);
  for (const one of ["TOPICS", "SERVERS"]) expect(variable(wait, one)).toEqual(variable(creator, one));
  expect(variable(wait, "JOB")?.value).toBe("kafka-topics");
  expect(registry.spec.progressDeadlineSeconds).toBe(job.spec.activeDeadlineSeconds + 600);
});

describe("the record", () => {
  const recorded = Object.entries(jobs).filter(([name]) => name !== "polls");
  const [database, login] = [
    ["SET_UP_HOST", "SET_UP_PORT", "SET_UP_DATABASE"],
    ["SET_UP_USER", "SET_UP_PASSWORD", "SET_UP_VERSION", "SET_UP_JOB"],
  ] as const;
  let program: Evaluated;
  beforeAll(async () => {
    program = await evaluatedWithSecrets("test");
  });

  it("is read with the database, login and version that the Job writes it with", () => {
    for (const [name, job] of recorded) {
      const wait = waitOf(program, name);
      const [writer] = jobOf(program, job).spec.template.spec.containers as [Container];
      for (const one of [...database, ...login]) {
        expect(variable(wait, one), `${name}: ${one}`).toBeDefined();
        expect(variable(wait, one)).toEqual(variable(writer, one));
      }
      expect(wait.command.slice(1)).toEqual([expect.stringMatching(/\/set_up\.py$/), "wait"]);
      expect(variable(wait, "SET_UP_JOB")).toEqual({ name: "SET_UP_JOB", value: job });
    }
  });

  it("is of the image, for NoETL of the version that is installed", () => {
    for (const [name] of recorded) {
      const wait = waitOf(program, name);
      expect(variable(wait, "SET_UP_VERSION")?.value).toBe(name === "noetl" ? "4.26.0" : wait.image);
    }
  });

  it("is what a Job writes last", () => {
    const script = (map: string, key: string): string => named(program, "ConfigMap", map).data[key];
    expect(script("airflow-setup-script", "setup.py").trimEnd()).toMatch(/\nset_up\.record\(\)$/);
    expect(script("noetl-scripts", "apply_schema.py").trimEnd()).toMatch(/\nset_up\.record\(\)$/);
    const [{ command }] = jobOf(program, "superset-setup").spec.template.spec.containers;
    expect(command.at(-1)).toMatch(/set_up\.py record$/);
    for (const map of ["airflow-config", "superset-config", "noetl-scripts"])
      expect(script(map, "set_up.py")).toBe(script("airflow-config", "set_up.py"));
  });

  it("of another image is awaited by its pods alone", async () => {
    const after = await evaluatedWithSecrets("test", "superset: { image: apache/superset:6.2.0 }");
    const wait = waitOf(after, "superset");
    expect(variable(wait, "SET_UP_VERSION")?.value).toBe("apache/superset:6.2.0");
    expect(waitOf(after, "airflow-scheduler")).toEqual(waitOf(program, "airflow-scheduler"));
    expect(changed(program, after).filter((one) => one.startsWith("Job"))).toEqual([
      "Job superset-databases-#",
      "Job superset-setup-#",
    ]);
  });

  it("is awaited by the Job that registers Superset's databases too", () => {
    const [wait] = waits(jobOf(program, "superset-databases")) as [Container];
    expect(wait).toEqual(waitOf(program, "superset"));
  });

  it("is not awaited by a version of NoETL that has no such Job", async () => {
    const old = await evaluatedWithSecrets("dev", "noetl: { instances: { main: {}, old: { version: 0.1.38 } } }");
    expect(waits(workload(old, "noetl-old"))).toEqual([]);
    expect(waits(workload(old, "noetl"))).toHaveLength(1);
  });
});
