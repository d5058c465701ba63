// Proves that `helm template` of the written chart gives the objects of the program, field by field, for the stacks and
// for random values; that what the chart cannot express is refused; and that the tracer refuses arithmetic on a value.
// Does not prove that a cluster accepts the chart, nor anything about the values in Secrets.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { execa } from "execa";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import type { Config } from "../../config/schema.ts";
import {
  chartFiles,
  configured,
  isCharted,
  leftOut,
  objectsOf,
  values,
  valuesSchema,
} from "../../render/chart/chart.ts";
import { conditional, number, segments, text } from "../../render/chart/expressions.ts";
import { type Schema, types } from "../../render/chart/values.ts";
import { Defines, Writer } from "../../render/chart/write.ts";
import { redacted } from "../../render/evaluate.ts";
import { type KubeObject, keyOf } from "../../render/manifests.ts";
import { readStack, stackNames } from "../../render/stack.ts";
import { helm as helmBinary } from "./helm.ts";
import { writeChart } from "./write-chart.ts";

const runs = Number(process.env.CHART_RUNS ?? 10);

let folder: string;
let helm: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "chart-"));
  helm = await helmBinary();
  await writeChart(folder);
}, 900_000);
afterAll(() => rmSync(folder, { recursive: true }));

const template = (release: string, given: object, chart = folder) =>
  execa(helm, ["template", release, chart, "--skip-tests", "--values", "-"], { input: JSON.stringify(given) });
const objectsIn = (text: string): KubeObject[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);

/**
 * What differs by its nature: a revision of a Secret, which has the password in it; a Job's name, whose hash has those;
 * who manages the objects; and what an uninstall keeps, which Pulumi keeps by an option.
 */
const comparable = (object: KubeObject): KubeObject => {
  const { annotations: all = {}, ...metadata } = object.metadata;
  const { "helm.sh/resource-policy": _, ...annotations } = all;
  const some = Object.keys(annotations).length > 0;
  return JSON.parse(
    JSON.stringify({ ...object, metadata: { ...metadata, ...(some && { annotations }) } })
      .replaceAll(/"(data-platform\/checksum-[a-z_0-9-]+)":"[0-9a-f]{16}"/g, '"$1":"revision"')
      .replaceAll('"app.kubernetes.io/managed-by":"pulumi"', '"app.kubernetes.io/managed-by":"Helm"')
      .replace(/("kind":"Job".*"name":"[a-z0-9-]+)-[0-9a-f]{8}"/, '$1-hash"'),
  );
};

const byKey = (objects: KubeObject[]) =>
  Object.fromEntries(
    objects
      .map(comparable)
      .map((object) => [keyOf(object), object] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

async function expectSame(stack: string, config: Config): Promise<void> {
  const { stdout } = await template(stack, { ...values(config), secrets: { create: false } });
  await expectObjects(stdout, stack, config);
}

/** Flags with which the chart makes no Secrets. */
const own = ["--set", "secrets.create=false"];

async function expectObjects(stdout: string, stack: string, config: Config): Promise<void> {
  const program = (await objectsOf(stack, config, redacted)).map(({ object }) => object);
  const compared = program.filter((object) => isCharted(object) && object.kind !== "Secret");
  expect(byKey(objectsIn(stdout))).toEqual(byKey(compared));
}

/** The blocks of a stack's configuration, by their keys. */
const blocks = (stack: string) =>
  Object.fromEntries(
    Object.entries(readStack(".", stack).config)
      .filter(([key]) => key.startsWith("data-platform:"))
      .map(([key, block]) => [key.slice("data-platform:".length), block]),
  );

describe("charts/data-platform", () => {
  it("is what ./platform chart writes", async () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    const files = await chartFiles(version, Object.fromEntries(stackNames(".").map((name) => [name, blocks(name)])));
    const chart = "charts/data-platform";
    const found = readdirSync(chart, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(chart, join(entry.parentPath, entry.name)));
    expect(found.sort()).toEqual([...files.keys()].sort());
    for (const [path, text] of files)
      expect(readFileSync(join(chart, path), "utf8"), `${path}: run ./platform chart`).toBe(text);
  });

  it("says which keys of a stack it does not have", () => {
    const shop = { image: "team/shop:1.2.0", database: "postgresql", env: { A: "b" } };
    const given = { polls: { replicas: 2, databaseCluster: {} }, djangoApps: { shop }, cloudnativePg: {} };
    expect(leftOut(given)).toEqual(["polls.databaseCluster", "djangoApps.shop.database", "cloudnativePg"]);
    expect(readFileSync("charts/data-platform/values-prod.yaml", "utf8")).toContain(
      "# Left out, since the chart does not have it: polls.databaseCluster",
    );
  });

  it("passes helm lint --strict, and can be packaged", { timeout: 300_000 }, async () => {
    const stacks = stackNames(".").flatMap((name) => ["--values", `charts/data-platform/values-${name}.yaml`]);
    await execa(helm, ["lint", "--strict", "charts/data-platform", ...stacks]);
    const { stdout } = await execa(helm, ["package", "charts/data-platform", "--destination", folder]);
    expect(stdout).toMatch(/data-platform-[\d.]+\.tgz/);
  });
});

function set(into: Record<string, unknown>, path: string, value: unknown): void {
  const [key = "", ...rest] = path.split(".");
  if (rest.length === 0) into[key] = value;
  else {
    const inner = (into[key] ?? {}) as Record<string, unknown>;
    set(inner, rest.join("."), value);
    into[key] = inner;
  }
}

/** A copy of the chart that takes every cluster for an empty one: without a cluster it makes no Secrets. */
async function withSecrets(): Promise<string> {
  const copy = mkdtempSync(join(tmpdir(), "chart-"));
  cpSync(folder, copy, { recursive: true });
  const file = join(copy, "templates/_passwords.tpl");
  const look = '{{- if lookup "v1" "Namespace" "" "kube-system" }}true{{ end -}}';
  const text = readFileSync(file, "utf8");
  expect(text).toContain(look);
  writeFileSync(file, text.replace(look, "true"));
  return copy;
}

describe("Secrets of the chart", { timeout: 600_000 }, () => {
  const config = configured("dev", {
    monitoring: { enabled: true, monitors: { enabled: true } },
    djangoApps: { shop: { image: "team/shop:1.2.0" } },
    redis: { auth: { existingSecret: "mine" } },
  });

  it("are those of the program, with the same keys, and the same password has one value", async () => {
    const copy = await withSecrets();
    const { stdout } = await template("dev", values(config), copy);
    rmSync(copy, { recursive: true });
    const charted = objectsIn(stdout).filter(({ kind }) => kind === "Secret");
    const program = (await objectsOf("dev", config, redacted))
      .map(({ object }) => object)
      .filter((object) => isCharted(object) && object.kind === "Secret");
    const keys = (all: KubeObject[]) =>
      Object.fromEntries(all.map((one) => [keyOf(one), Object.keys(one.stringData as object).sort()]));
    expect(keys(charted)).toEqual(keys(program));

    const pairs = (all: KubeObject[]) => all.flatMap((one) => Object.values(one.stringData as Record<string, string>));
    const [made, known] = [pairs(charted), pairs(program)];
    // The program's placeholders say which values are the same.
    const same = (all: string[]) => all.map((value) => all.indexOf(value));
    const order = (all: KubeObject[]) => [...all].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    expect(same(pairs(order(charted)))).toEqual(same(pairs(order(program))));
    expect(made.length).toBe(known.length);
    expect(stdout).not.toContain("REDACTED");
  });

  it("are demanded in words where nothing can be looked up", async () => {
    await expect(template("dev", values(config))).rejects.toThrow("secrets.create: found true; expected false");
  });
});

it.each([
  [{ redis: { replicas: 2 } }, "replicas"],
  [{ redis: { resources: { limits: { memory: "1e9" } } } }, "memory"],
  [{ cloudnativePg: { enabled: true } }, "nothing here: the operator has a chart of its own"],
  [
    { polls: { database: "cloudnative-pg" } },
    "nothing here: in the chart, applications have their databases in PostgreSQL",
  ],
  [{ noetl: { instances: {} } }, "nothing here: the chart has one instance"],
  [{ frontDoor: { login: {} } }, "nothing here: the chart does not have oauth2-proxy"],
  [{ frontDoor: { routes: "httpRoute" } }, "nothing here: the chart routes by Ingress"],
  [{ global: { domain: "data.example.com" } }, "frontDoor.tls: expected existingSecret or issuer"],
  [
    { global: { networkPolicies: { keda: {} } } },
    "nothing here: the chart does not have autoscale.queue, which it is for",
  ],
  [{ postgresql: { auth: { password: "x" } } }, "password"],
  [{ redis: { enabled: false } }, "airflow.enabled: found true; expected redis.enabled: true beside it"],
  [
    { redis: { resources: { limits: { memory: "1Mi" } } } },
    "redis.resources.limits.memory: found 1Mi; expected at least resources.requests.memory, which is 128Mi",
  ],
  [
    { redis: { pods: { labels: { "app.kubernetes.io/name": "x" } } } },
    "redis.pods.labels.app.kubernetes.io/name: expected another",
  ],
  [
    { webApp: { pods: { roles: { flask: { labels: { role: "x" } } } } } },
    "webApp.pods.roles.flask.labels.role: expected another",
  ],
  [
    { global: { pods: { tolerations: [{ value: "x" }] } } },
    "global.pods.tolerations[0].key: found nothing; expected a taint's",
  ],
  [{ trino: { pods: { terminationGracePeriodSeconds: 5 } } }, "terminationGracePeriodSeconds"],
  [{ redis: { pods: { runAsUser: 0 } } }, "runAsUser"],
  [
    { redis: { serviceAccount: { name: "a", annotations: { "example.com/b": "c" } } } },
    "redis.serviceAccount.annotations: expected no annotations beside name",
  ],
  [
    { flink: { serviceAccount: { roles: { taskmanager: { name: "default" } } } } },
    "flink.serviceAccount.roles.taskmanager.name: found default; expected another account",
  ],
  [
    { djangoApps: { shop: { image: "team/shop:1.2.0", serviceAccount: { annotations: { "pulumi.com/a": "b" } } } } },
    "djangoApps.shop.serviceAccount.annotations.pulumi.com/a: expected another key",
  ],
  [{ redis: { serviceAccount: { name: "A" } } }, "serviceAccount"],
  [{ minio: { env: { HOME: "/" } } }, "minio.env.HOME: expected another variable: the platform sets this one"],
  [{ minio: { env: { MY_PASSWORD: "x" } } }, "minio.env.MY_PASSWORD: expected no password here"],
  [{ airflow: { worker: { autoscale: { min: 1, max: 2 } } } }, "nothing here: the chart does not have this key"],
  [
    { redis: { settings: { dir: "/tmp" } } },
    "redis.settings.dir: expected another setting: the platform sets this one",
  ],
  [{ redis: { settings: { "slowlog-max-len": "1\nport 1" } } }, "expected a value of one line"],
  [{ kafka: { settings: { "my.password": "x" } } }, "kafka.settings.my.password: expected no password here"],
  [
    { trino: { worker: { settings: { "a.b": `\${ENV:MINE}` } } } },
    "trino.worker.settings.a.b: expected the variable MINE in trino.env",
  ],
  [{ spark: { settings: { "spark.a": "b" } } }, "nothing here: the chart does not have this key"],
  [{ minio: { replicas: 2 } }, "minio"],
  [{ kafka: { replicas: 2 } }, "kafka"],
])("refuses what it cannot express: %j", async (given, sentence) => {
  await expect(template("dev", { ...given, secrets: { create: false } })).rejects.toThrow(sentence);
});

describe("an expression", () => {
  const replicas = number("(int64 $.Values.replicas)");

  it("stays itself in a text, in JSON and after Pulumi copied it", () => {
    const writer = new Writer(new Defines());
    expect(writer.operand(`${replicas} of ${text("$.Values.size")}`)).toBe(
      '(printf "%v of %v" (toString (int64 $.Values.replicas)) $.Values.size)',
    );
    expect(writer.operand(JSON.stringify({ replicas: { ...(replicas as unknown as object) } }))).toBe(
      '(printf "{\\"replicas\\":%v}" (int64 $.Values.replicas))',
    );
  });

  it.each<[string, (value: number) => unknown]>([
    ["a comparison", (value) => value > 1],
    ["a sum", (value) => value + 1],
    ["Math", Math.floor],
    ["a list's length", (length) => Array.from({ length })],
  ])("refuses %s, whose result would be wrong", (_, compute) => {
    expect(() => compute(replicas)).toThrow("the program computes with (int64 $.Values.replicas)");
  });

  it("refuses a text that was cut", () => {
    expect(() => segments(text("$.Values.size").slice(1))).toThrow("the program cut or changed a configured value");
    expect(() => segments(conditional("$.Values.a", "b", "c").slice(0, -1))).toThrow("the program cut or changed");
  });

  it("is no text if it may be missing", () => {
    const writer = new Writer(new Defines());
    const missing = `size: ${text("$.Values.size", { optional: true })}`;
    expect(() => writer.operand(missing)).toThrow("found an optional value in a text");
  });
});

describe("the chart and the program give the same objects", { timeout: 3_600_000 }, () => {
  it("of a stack on OpenShift, without users and with their entries", async () => {
    await expectSame("test", configured("test", { global: { cluster: "openshift" } }));
  });

  it.each(["dev", "test", "prod"])("of stack %s", async (stack) => {
    const file = `charts/data-platform/values-${stack}.yaml`;
    const { stdout } = await execa(helm, ["template", stack, folder, "--skip-tests", "--values", file, ...own]);
    await expectObjects(stdout, stack, configured(stack, values(blocks(stack))));
  });

  it("of a few components, with policies and monitors for these alone", async () => {
    const off = ["postgresql", "redis", "nessie", "trino", "spark", "airflow", "superset", "noetl", "polls", "webApp"];
    const labels = { team: "analytics" };
    const networkPolicies = {
      enabled: true,
      allowFrom: [{ namespaceLabels: labels }, { podLabels: labels }, { namespaceLabels: labels, podLabels: labels }],
      // NoETL is not installed, so nothing connects from it.
      connections: ["deployd", "noetl"].map((from) => ({ from, to: "kafka" })),
      outside: [{ from: "flink", cidr: "fd00::/8", ports: [443, 5432] }],
    };
    const config = configured("dev", {
      global: { networkPolicies },
      monitoring: { enabled: true, monitors: { enabled: true } },
      ...Object.fromEntries(off.map((key) => [key, { enabled: false }])),
    });
    await expectSame("dev", config);
  });

  /** Sizes as programs have them: decimals too, and large enough for what is checked between values. */
  const sizes = fc
    .tuple(
      fc.integer({ min: 600, max: 9_999 }),
      fc.option(fc.integer({ min: 0, max: 999 }), { nil: undefined }),
      fc.constantFrom("M", "Mi", "G", "Gi"),
    )
    .map(([whole, decimals, unit]) => `${whole}${decimals === undefined ? "" : `.${decimals}`}${unit}`);
  /** Texts of every form that a key has. */
  const texts = [
    ...["a", "a-name", "another-name-2", "two_words", "two.words", "owner/repo", "team/another-repo"],
    ...["app.example.com", "https://git.example.com/team/a%20repository.git?x=1&y=<2>", "https://example.com/simple"],
    ...["10.1.0.0/16", "fd00::/8", "ssh://git@git.example.com:2222/team/dags.git"],
    ...["mysite.wsgi", "backend/src", "/healthz", "17 3 * * *", "@daily", "PersistentVolumeClaim/data"],
    ...["a text: with 'quotes', \"others\" and $(POD_IP)", "", " spaces "],
  ];
  const variables = [
    "HOME",
    "MY_VARIABLE",
    "ALLOWED_HOSTS",
    "DJANGO_SUPERUSER_EMAIL",
    "DJANGO_SUPERUSER_COLOUR",
    "SECRET_KEY",
    "MY_TOKEN",
  ];
  /** Mappings by the keys of labels and annotations, of which the platform sets some itself. */
  const keyed = /^(labels|(serviceA|a)nnotations|nodeSelector|matchLabels)$/;
  const qualified = ["a", "Team.x", "example.com/a_key", "app", "app.kubernetes.io/name", "-", "pod-template-hash"];
  /** Settings: of the platform's that may be replaced, of others, and of those that are refused. */
  const names = [
    ...["work_mem", "log_timezone", "slowlog-max-len", "appendfsync", "log.retention.hours", "num.partitions"],
    ...["quarkus.log.level", "query.max-run-time", "query.max-memory", "port", "my.password"],
    ...["execution.checkpointing.interval", "parallelism.default"],
  ];
  const tagged = fc.constantFrom(
    "17.2",
    "18.0-trixie",
    "1.2.3",
    "1.2.3-rc.1",
    `1.2.3@sha256:${"0a".repeat(32)}`,
    `17.4-${"x".repeat(70)}z`,
  );
  const repositories = fc.constantFrom(
    "redis",
    "docker.io/redis",
    "docker.io/a/b",
    "localhost/team/app",
    "registry.example.com:5000/team/app",
    "ghcr.io/team/app",
  );

  /** Definitions that several keys share. */
  const { $defs = {} } = valuesSchema();
  /** Rules that are valid, as random ones seldom are. */
  const expression = { key: "disk", operator: "In", values: ["ssd", "1"] };
  const beside = { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "a" } } };
  const rules: Record<string, fc.Arbitrary<unknown>> = {
    Toleration: fc.constantFrom<object>(
      { key: "dedicated", operator: "Equal", value: "a", effect: "NoSchedule" },
      { operator: "Exists" },
      { key: "example.com/pool", operator: "Exists", effect: "NoExecute", tolerationSeconds: 31_536_000 },
    ),
    Affinity: fc.constantFrom<object>(
      {},
      { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [beside] } },
      {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [expression] }] },
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 100, preference: { matchFields: [{ ...expression, key: "metadata.name" }] } },
          ],
        },
      },
    ),
  };

  /** Any value of a key. What the schema does not say, such as the form of an image, is by the key. */
  const arbitrary = (schema: Schema, key: string): fc.Arbitrary<unknown> => {
    const name = schema.$ref?.replace("#/$defs/", "");
    if (name) return fc.oneof(rules[name] ?? fc.constant({}), arbitrary($defs[name] ?? {}, key));
    if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => arbitrary(one, key)));
    if (schema.properties) {
      const required = schema.required ?? [];
      return fc.record(
        Object.fromEntries(
          Object.entries(schema.properties)
            .filter(([, field]) => !("fixed" in field))
            .map(([name, field]) => [name, arbitrary(field, name)]),
        ),
        { requiredKeys: required },
      );
    }
    if (schema.enum) return fc.constantFrom(...schema.enum);
    if (schema.type === "boolean") return fc.boolean();
    if (schema.type === "integer")
      return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 9, (schema.minimum ?? 0) + 5) });
    if (schema.type === "array") return fc.array(arbitrary(schema.items ?? {}, key), { maxLength: 2 });
    if (schema.type === "object" && typeof schema.additionalProperties === "object")
      return fc.dictionary(
        fc.constantFrom(
          ...(key === "env" ? variables : key === "settings" ? names : keyed.test(key) ? qualified : ["a", "a-name"]),
        ),
        arbitrary(schema.additionalProperties, key),
        { maxKeys: 3 },
      );
    if (key === "image" || key === "postgresql" || key === "statsd" || key === "jmx")
      return fc.tuple(repositories, tagged).map(([repository, tag]) => `${repository}:${tag}`);
    if (key === "imageRegistry") return fc.constantFrom("mirror.example.com", "mirror.example.com:5000/a/b");
    if (key === "cpu") return fc.constantFrom("1m", "250m", "2", "0.5", "1.25");
    if (types(schema).includes("boolean"))
      return fc.constantFrom<unknown>("48", 'it\'s "1 MB"', `\${ENV:A}`, "ends in \\", 48, 1_000_000, 0.5, 1e21, true);
    if (types(schema).includes("number")) return sizes;
    const pattern = new RegExp(schema.pattern ?? "");
    const some = [...texts, ...(key === "databases" ? ["nessie"] : key === "buckets" ? ["lakehouse"] : [])];
    return fc.constantFrom(...some.filter((text) => pattern.test(text)));
  };

  /** The keys that have values, by their paths. A block that may be missing is a value. */
  const keys = (schema: Schema, path: string[]): { path: string[]; values: fc.Arbitrary<unknown> }[] =>
    Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
      if ("fixed" in inner) return [];
      const inside = [...path, key];
      const block = inner.properties && (inner.default !== undefined || path.length === 0);
      return block ? keys(inner, inside) : [{ path: inside, values: arbitrary(inner, key) }];
    });
  const all = keys(valuesSchema(), []);
  /** Keys that decide which objects and fields there are. */
  const structural = all.filter(
    ({ path }) =>
      path.includes("serviceAccount") ||
      /^(enabled|djangoApps|env|envFrom|git|repositories|replicas|type|host|imagePullSecrets|quota|existingSecret|allowFrom|connections|outside|allowWithoutLogin|tlsSecret)$/.test(
        path.at(-1) ?? "",
      ),
  );
  /** Keys of pods, of which there are as many as of all others. */
  const [ofPods, others] = [true, false].map((is) => all.filter(({ path }) => is === path.includes("pods")));
  const change = fc
    .oneof(fc.constantFrom(...(others ?? [])), fc.constantFrom(...structural), fc.constantFrom(...(ofPods ?? [])))
    .chain(({ path, values }) => values.map((value) => ({ path: path.join("."), value })));
  /** What random changes begin with: values that others need beside them, and that add objects of many components. */
  const tls = { path: "frontDoor.tls", value: { existingSecret: "pages" } };
  const issuer = { path: "frontDoor.tls", value: { issuer: { name: "own", kind: "Issuer" } } };
  const policies = { path: "global.networkPolicies.enabled", value: true };
  const domain = { path: "global.domain", value: "data.example.com" };
  const controller = {
    path: "frontDoor.controller",
    value: { namespaceLabels: { "kubernetes.io/metadata.name": "ingress-nginx" } },
  };
  const embedded = { path: "global.cluster", value: "embedded" };
  const monitoring = { path: "monitoring.enabled", value: true };
  const monitors = { path: "monitoring.monitors.enabled", value: true };
  const starts = [
    ...[[], [policies], [tls, domain], [issuer, controller, domain, policies], [embedded, domain, policies]],
    [tls, { path: "frontDoor.controller", value: { cidr: "10.1.0.0/16" } }, domain, policies],
    [policies, monitoring, monitors, { path: "global.networkPolicies.allowFrom", value: [{ podLabels: { a: "b" } }] }],
  ];
  const changes = fc.record({
    stack: fc.constantFrom("dev", "x1", "a-name-of-thirty-letters-in-al"),
    changes: fc
      .tuple(fc.constantFrom(...starts), fc.array(change, { minLength: 1, maxLength: 60, size: "max" }))
      .map(([start, all]): typeof all => [...start, ...all]),
  });
  type Changes = typeof changes extends fc.Arbitrary<infer T> ? T : never;

  /** Why the program refuses values; undefined if it accepts them. */
  const refusalOf = (given: Record<string, unknown>): string | undefined => {
    try {
      configured("dev", given);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };

  /** The configuration with those changes that are valid beside the ones before them. */
  const configuration = ({ stack, changes }: Changes): Config => {
    let [accepted, config]: [Record<string, unknown>, Config] = [{}, configured(stack)];
    for (const { path, value } of changes) {
      const next = structuredClone(accepted);
      set(next, path, value);
      try {
        config = configured(stack, next);
        accepted = next;
      } catch {
        // Beside the others it is invalid.
      }
    }
    return config;
  };

  it("and refuse the same values", async () => {
    const known = new Set<string>();
    const accepted: string[] = [];
    for (const random of fc.sample(changes, { seed: 12, numRuns: 60 }))
      for (const { path, value } of random.changes) {
        const given = {};
        set(given, path, value);
        const problem = refusalOf(given)?.replace(/found .*?; /, "");
        if (!problem || known.has(problem)) continue;
        known.add(problem);
        const rendered = template("dev", { ...given, secrets: { create: false } });
        await rendered.then(
          () => accepted.push(`${path} ${JSON.stringify(value)}: ${problem}`),
          () => {},
        );
      }
    expect(known.size).toBeGreaterThan(20);
    expect(accepted).toEqual([]);
  });

  it("and refuse fewer connections than the clients' pools", async () => {
    const replicas = {
      airflow: { worker: { replicas: 7 }, apiServer: { replicas: 3 } },
      superset: { web: { workers: 3 } },
    };
    const apps = { djangoApps: { shop: { image: "team/shop:1.2.0", workers: 5 } }, monitoring: { enabled: true } };
    const most = (maxConnections: number) => ({ ...replicas, ...apps, postgresql: { maxConnections } });
    const least = Number(/expected at least (\d+)/.exec(refusalOf(most(20)) ?? "")?.[1]);
    expect(refusalOf(most(least))).toBeUndefined();
    await template("dev", { ...most(least), secrets: { create: false } });
    await expect(template("dev", { ...most(least - 1), secrets: { create: false } })).rejects.toThrow(
      `expected at least ${least}`,
    );
  });

  it("with the same pods and variables everywhere, and their own in roles", async () => {
    const placed: Record<string, unknown> = {
      // What Helm takes for nothing is something here.
      nodeSelector: {},
      tolerations: [],
      labels: { team: "", "example.com/pool": "a" },
      annotations: { "example.com/note": "" },
      runAsGroup: 0,
      zones: "required",
    };
    const variables: Record<string, unknown> = {
      env: { MY_TEXT: "$(POD_IP)", MY_KEY: { secretKeyRef: { name: "mine", key: "key" } } },
      envFrom: [{ secretRef: { name: "mine" } }, { configMapRef: { name: "theirs" } }],
    };
    const usual = {
      ...{ labels: { team: "usual", usual: "a" }, nodeSelector: { disk: "ssd" }, zones: "preferred" },
      ...{ priorityClassName: "usual", runtimeClassName: "gvisor", tolerations: [{ operator: "Exists" }] },
    };
    const role = { labels: { team: "role" }, tolerations: [{ operator: "Exists" }], runAsUser: 4242, zones: "ignored" };
    const given = { global: { pods: usual, serviceAnnotations: { usual: "a", both: "a" } } };
    for (const { path } of all) {
      const [parent, key = ""] = path.slice(-2);
      if (path[0] === "global") continue;
      if (variables[key]) set(given, path.join("."), variables[key]);
      if (parent === "pods" && key in placed) set(given, path.join("."), placed[key]);
      if (parent === "roles") set(given, path.join("."), role);
      if (parent === "service" && key === "annotations") set(given, path.join("."), { both: "b" });
      if (parent === "serviceAccount" && key === "annotations") set(given, path.join("."), { "example.com/role": "a" });
    }
    const serviceAccount = { annotations: { "example.com/role": "b" } };
    const shop = { image: "team/shop:1.2.0", pods: placed, serviceAccount, ...variables };
    const most = { monitoring: { enabled: true }, djangoApps: { shop }, webApp: { debug: true } };
    for (const [path, value] of Object.entries(most))
      for (const [key, one] of Object.entries(value)) set(given, `${path}.${key}`, one);
    await expectSame("x1", configured("x1", given));
    set(given, "global.cluster", "openshift");
    set(given, "global.priorityClasses", true);
    await expectSame("x1", configured("x1", given));
  });

  it.each([1, 2])("with existing accounts everywhere, and %d JobManagers", async (replicas) => {
    const given = {
      ...{ monitoring: { enabled: true }, global: { networkPolicies: { enabled: true } } },
      djangoApps: {
        shop: { image: "team/shop:1.2.0", serviceAccount: { name: "shop" } },
        other: { image: "team/other:1.2.0" },
      },
    };
    for (const { path } of all)
      if (path.at(-2) === "serviceAccount" && path.at(-1) === "name")
        set(given, path.join("."), `of-${path[0]?.toLowerCase()}`);
    set(given, "flink.jobManager.replicas", replicas);
    await expectSame("x1", configured("x1", given));
    set(given, "flink.serviceAccount.roles.taskmanager.name", "readers");
    await expectSame("x1", configured("x1", given));
    set(given, "flink.serviceAccount.name", undefined);
    await expectSame("x1", configured("x1", given));
  });

  it("with settings, of which YAML reads some as numbers", async () => {
    const settings = {
      work_mem: "64MB",
      max_wal_size: "2GB",
      jit: false,
      random_page_cost: 1.1,
      autovacuum_naptime: 1e6,
    };
    const given = {
      postgresql: { settings },
      redis: { settings: { "slowlog-max-len": 1_000_000 } },
      kafka: { settings: { "log.retention.hours": 48, "num.partitions": 3 } },
      nessie: { settings: { "quarkus.log.level": "DEBUG" } },
      flink: { settings: { "parallelism.default": 2, "a.b": "1" }, taskManager: { settings: { "a.b": 'it\'s "2"' } } },
      trino: {
        env: { MINE: "a" },
        settings: { "query.max-run-time": "1h" },
        worker: { settings: { "query.max-run-time": "2h", "a.b": `\${ENV:MINE}` } },
      },
    };
    const config = configured("x1", given);
    await expectSame("x1", config);
    const { stdout } = await template("x1", { ...given, secrets: { create: false } });
    await expectObjects(stdout, "x1", config);
  });

  it("of a repository by SSH, which needs a Secret", async () => {
    const dags = (git: object) => ({ airflow: { dags: { git } } });
    for (const repository of ["git@git.example.com:team/dags.git", "ssh://git@git.example.com:2222/team/dags.git"]) {
      await expectSame("dev", configured("dev", dags({ repository, existingSecret: "dags" })));
      expect(refusalOf(dags({ repository }))).toContain("expected a Secret with the keys ssh-privatekey");
      await expect(template("dev", { ...dags({ repository }), secrets: { create: false } })).rejects.toThrow(
        "expected a Secret with the keys ssh-privatekey",
      );
    }
  });

  it("for random values", () =>
    fc.assert(
      fc.asyncProperty(changes, (random) => expectSame(random.stack, configuration(random))),
      { numRuns: runs, endOnFailure: process.env.CHART_SHRINK === undefined },
    ));
});
