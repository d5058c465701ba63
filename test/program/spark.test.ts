// Proves Spark's manifests: the mounted secret, which pods a change rolls, and that the memory fits.
// Does not prove that Spark behaves accordingly: the cluster test does.
import { beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "../../config/problems.ts";
import { changed, type Evaluated, evaluated, evaluatedWithSecrets, named } from "./stacks.ts";

const container = (program: Evaluated, name: string) =>
  named(program, "Deployment", name).spec.template.spec.containers[0];

let test: Evaluated;
beforeAll(async () => {
  test = await evaluatedWithSecrets("test");
});

describe("the secret", () => {
  it.each(["spark-master", "spark-worker"])("is in no argument of %s, only in its environment", (name) => {
    const { env, args, command } = container(test, name);
    const { value, valueFrom } = env.find(({ name }: { name: string }) => name === "_SPARK_AUTH_SECRET");
    expect(value).toBeUndefined();
    expect(valueFrom).toEqual({ secretKeyRef: { name: "spark-admin", key: "secret" } });
    expect(JSON.stringify([command, args, env])).not.toMatch(/spark\.authenticate\.secret/);
  });

  it("is required by the cluster and by applications, and is in no file", () => {
    const { secret } = named(test, "Secret", "spark-admin").stringData as { secret: string };
    for (const name of ["spark-config", "spark-application"]) {
      const file = (named(test, "ConfigMap", name).data as Record<string, string>)["spark-defaults.conf"]!;
      expect(file).toContain("spark.authenticate true\n");
      expect(file).toContain("spark.ui.killEnabled false\n");
      expect(file).not.toContain(secret);
    }
  });

  it("cannot be bypassed by the REST server", () => {
    const { data } = named(test, "ConfigMap", "spark-config");
    expect((data as Record<string, string>)["spark-defaults.conf"]).toContain("spark.master.rest.enabled false\n");
  });

  it("can be an existing one: none is created", async () => {
    const own = await evaluated("test", { changes: "spark: { auth: { existingSecret: mine } }" });
    expect(named(own, "Secret", "spark-admin")).toBeUndefined();
    for (const name of ["spark-master", "spark-worker"])
      expect(JSON.stringify(container(own, name).env)).toContain('{"key":"secret","name":"mine"}');
  });
});

describe("a change", () => {
  it.each([
    ["spark: { worker: { cores: 2 } }", ["Deployment spark-worker"]],
    [
      "spark: { worker: { memory: 1Gi, resources: { limits: { memory: 2Gi } } } }",
      ["ConfigMap spark-application", "Deployment spark-worker"],
    ],
    ["spark: { worker: { replicas: 3 } }", ["Deployment spark-worker"]],
    ["spark: { master: { resources: { limits: { memory: 1Gi } } } }", ["Deployment spark-master"]],
  ])("%s rolls nothing else", async (changes, expected) => {
    expect(changed(await evaluated("test"), await evaluated("test", { changes }))).toEqual(expected);
  });

  it("of the secret rolls master and workers", async () => {
    const annotations = (program: Evaluated, name: string) =>
      named(program, "Deployment", name).spec.template.metadata.annotations["data-platform/checksum-admin"];
    const before = await evaluated("test", { changes: "spark: { auth: { existingSecret: mine } }" });
    const after = await evaluated("test", { changes: "spark: { auth: { existingSecret: mine, rotation: 2 } }" });
    expect(changed(before, after)).toEqual(["Deployment spark-master", "Deployment spark-worker"]);
    expect(annotations(after, "spark-worker")).not.toBe(annotations(before, "spark-worker"));
  });
});

it("workers connect to the master's Service, not to its pod", () => {
  const { data } = named(test, "ConfigMap", "spark-config");
  const file = (data as Record<string, string>)["spark-defaults.conf"];
  expect(file).toContain("spark.worker.preferConfiguredMasterAddress true\n");
  expect(container(test, "spark-worker").args.at(-1)).toBe("spark://spark.test-apps.svc:7077");
});

it("an executor's memory is its worker's", () => {
  const { data } = named(test, "ConfigMap", "spark-application");
  const { args } = container(test, "spark-worker");
  const offered = args[args.indexOf("--memory") + 1];
  expect((data as Record<string, string>)["spark-defaults.conf"]).toContain(`spark.executor.memory ${offered}\n`);
});

describe("a worker's memory", () => {
  const problem = (worker: object) => () => parseConfig("test", { spark: { worker } });

  it("is smaller than the container's limit", () => {
    expect(problem({ memory: "2Gi" })).toThrow(
      'stack test: spark.worker.resources.limits.memory: found "1536Mi"; expected at least 2816Mi: spark.worker.memory, which is 2Gi, and 768Mi for the worker itself and what an executor has beside its heap',
    );
    const enough = { memory: "2Gi", resources: { requests: { memory: "2816Mi" }, limits: { memory: "2816Mi" } } };
    expect(problem(enough)).not.toThrow();
  });

  it("is enough for an executor", () => {
    expect(problem({ memory: "256Mi" })).toThrow(
      'stack test: spark.worker.memory: found "256Mi"; expected at least 512Mi: Spark starts no executor with less',
    );
  });
});

describe("the history server", () => {
  it("reads what applications write, from a bucket of its own, and rolls neither master nor workers", async () => {
    const after = await evaluatedWithSecrets("test", "spark: { history: { enabled: true, retention: 7 } }");
    const file = (name: string) =>
      (named(after, "ConfigMap", name).data as Record<string, string>)["spark-defaults.conf"] ?? "";
    expect(file("spark-application")).toContain("spark.eventLog.enabled true\nspark.eventLog.dir s3a://spark/\n");
    expect(file("spark-history")).toContain("spark.history.fs.logDirectory s3a://spark/\n");
    expect(file("spark-history")).toContain("spark.history.fs.cleaner.maxAge 7d\n");
    expect(container(after, "spark-history").command.at(-1)).toBe("org.apache.spark.deploy.history.HistoryServer");
    expect(named(after, "Service", "spark-history").spec.ports).toEqual([
      { name: "ui", port: 18080, targetPort: "ui" },
    ]);
    expect(changed(test, after).filter((one) => !one.includes("minio"))).toEqual([
      "ConfigMap spark-application",
      "ConfigMap spark-history",
      "Deployment spark-history",
      "NetworkPolicy spark-history",
      "Service spark-history",
    ]);
  });
});
