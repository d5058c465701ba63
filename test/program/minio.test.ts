// Proves what MinIO's bucket Job does if its image has no client, and that with `global.separateUsers` each client has keys
// of its own, which open its buckets alone.
// Does not prove that it configures a server: the cluster tests do.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { containersOf, type KubernetesObject, podOf } from "../../policy/rules/index.ts";
import { type Evaluated, evaluated, named } from "./stacks.ts";

describe("the buckets Job, from an image without mc", () => {
  let job: KubernetesObject;
  beforeAll(async () => {
    const { objects } = await evaluated("dev");
    job = objects.find(
      ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("minio-buckets-"),
    ) as typeof job;
  });

  it("fails at once with the reason", () => {
    const [shell, ...args] = job.spec.template.spec.containers[0].command;
    const empty = mkdtempSync(join(tmpdir(), "no-mc-"));
    const { status, stderr } = spawnSync(`/bin/${shell}`, args, {
      env: { PATH: empty },
      encoding: "utf8",
      timeout: 10_000,
    });
    expect(stderr).toMatch(/^minio\.image: this image has no mc,.*docs\/minio\.md/);
    expect(status).toBe(78);
  });

  it("is not retried", () => {
    expect(job.spec.podFailurePolicy).toEqual({
      rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: [78] } }],
    });
    // Kubernetes accepts such a rule only with this policy.
    expect(job.spec.template.spec.restartPolicy).toBe("Never");
  });
});

describe("with separate users", () => {
  let program: Evaluated;
  let job: KubernetesObject;
  beforeAll(async () => {
    program = await evaluated("test", { changes: "global: { separateUsers: true }" });
    job = program.objects.find(
      ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("minio-buckets-"),
    ) as KubernetesObject;
  });

  /** The Secrets of MinIO that the pods of a component read. */
  const secretsOf = (component: string) => {
    const pods = program.objects.flatMap((object) => {
      const pod = podOf(object);
      return pod && object.metadata.labels?.["app.kubernetes.io/name"] === component ? [pod] : [];
    });
    const names = pods.flatMap(
      ({ spec }) => JSON.stringify(containersOf(spec)).match(/minio-(user-[\w-]+|platform)/g) ?? [],
    );
    return [...new Set(names)].filter((name) => !name.startsWith("minio-platform-"));
  };

  it.each(["nessie", "trino", "flink", "spark", "airflow", "web-app"])("%s reads its own keys alone", (component) => {
    expect(secretsOf(component)).toEqual([`minio-user-${component}`]);
  });

  it("allows Trino and Spark the buckets that a stack adds for them", async () => {
    const changes =
      "global: { separateUsers: true, networkPolicies: { enabled: true } }\ntrino: { faultTolerance: task }\nspark: { history: { enabled: true } }";
    const larger = await evaluated("test", { changes });
    const { data } = named(larger, "ConfigMap", "minio-policy");
    const bucketsOf = (user: string) => JSON.parse(data?.[`${user}.json`]).Statement[0].Resource;
    expect(bucketsOf("trino")).toEqual(["arn:aws:s3:::lakehouse", "arn:aws:s3:::trino"]);
    expect(bucketsOf("spark")).toEqual(["arn:aws:s3:::lakehouse", "arn:aws:s3:::spark"]);
    const secret = {
      name: "AWS_ACCESS_KEY_ID",
      valueFrom: { secretKeyRef: expect.objectContaining({ key: "access-key" }) },
    };
    const history = named(larger, "Deployment", "spark-history").spec.template;
    expect(history.spec.containers[0].env).toContainEqual(secret);
    expect(JSON.stringify(history.spec)).toContain("minio-user-spark");
    const egress = larger.objects.find(
      ({ kind, spec }) =>
        kind === "NetworkPolicy" &&
        spec.egress &&
        spec.podSelector.matchLabels?.["app.kubernetes.io/component"] === "history",
    );
    expect(JSON.stringify(egress?.spec.egress)).toContain('"app.kubernetes.io/name":"minio"');
  });

  it("allows each user its buckets", () => {
    const { data } = named(program, "ConfigMap", "minio-policy");
    const buckets = Object.fromEntries(
      Object.entries<string>(data).map(([file, text]) => [
        file,
        JSON.parse(text).Statement[0].Resource.map((one: string) => one.replace("arn:aws:s3:::", "")),
      ]),
    );
    expect(buckets).toEqual({
      "policy.json": ["warehouse", "mlflow"],
      "nessie.json": ["lakehouse"],
      "trino.json": ["lakehouse"],
      "spark.json": ["lakehouse"],
      "flink.json": ["flink", "lakehouse"],
      "airflow.json": ["airflow"],
      "web-app.json": ["web-app"],
    });
  });

  it("sets policy and key of each user, and passes keys by standard input", () => {
    const folder = mkdtempSync(join(tmpdir(), "mc-"));
    // It notes its arguments, and what it is given when it adds a user.
    const client = `#!/bin/sh\necho "mc $*" >> ${folder}/log\ncase "$*" in *" add "*) cat >> ${folder}/log ;; esac\n`;
    writeFileSync(join(folder, "mc"), client, { mode: 0o755 });
    const { command, env } = job.spec.template.spec.containers[0];
    const values = env.map(({ name, value }: { name: string; value?: string }) => [name, value ?? `value-of-${name}`]);
    const { status, stderr } = spawnSync("sh", command.slice(1), {
      env: { ...Object.fromEntries(values), PATH: `${folder}:/usr/bin:/bin` },
      encoding: "utf8",
      timeout: 10_000,
    });
    expect([status, stderr]).toEqual([0, ""]);
    const log = readFileSync(join(folder, "log"), "utf8");
    expect(log).toContain(
      "mc admin policy create server web-app /etc/minio/web-app.json\nmc admin user add server\n" +
        "web-app\nvalue-of-SECRET_KEY_WEB_APP\nmc admin policy attach server web-app --user web-app\n",
    );
    expect(log).toContain("mc admin user add server\nvalue-of-ACCESS_KEY\nvalue-of-SECRET_KEY\n");
    expect(log).not.toMatch(/^mc .*value-of-(SECRET|ROOT)/m);
  });
});
