// Proves that what a stack says of pods reaches every pod of the component that it is said of, in every kind of workload,
// and that each variable of the platform is refused.
// Does not prove that a scheduler places the pods so: that takes a cluster.
import { beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type ComponentKey, componentOf, registry } from "../../components/registry.ts";
import { parseConfig } from "../../config/problems.ts";
import { editorSchema } from "../../config/reference.ts";
import { containersOf, type KubernetesObject, podOf, rules } from "../../policy/rules/index.ts";
import { type Evaluated, evaluated, named } from "./stacks.ts";

const everything: Record<string, object> = {
  global: {},
  monitoring: { enabled: true },
  webApp: { debug: true },
  spark: { history: { enabled: true } },
  noetl: { instances: { main: {}, old: { version: "0.1.38" } } },
  cloudnativePg: { enabled: true, operator: "existing" },
  airflow: { dags: { git: { repository: "https://example.com/dags.git", existingSecret: "git" } } },
  djangoApps: { shop: { image: "example.com/shop:1.0.0", application: "shop.wsgi", healthPath: "/" } },
};

type Block = { [key: string]: unknown };
const isBlock = (value: unknown): value is Block =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/** The configuration with `change(path)` merged into each block that has the key `pods`. */
function inEach(change: (path: string) => Block): Record<string, object> {
  const visit = (block: Block, path: string): Block | undefined => {
    const inside = Object.entries(block).flatMap(([key, value]) => {
      const changed = isBlock(value) && key !== "pods" && visit(value, path ? `${path}.${key}` : key);
      return changed ? [[key, changed] as const] : [];
    });
    const own = "pods" in block && path !== "global" ? change(path) : {};
    const all = { ...Object.fromEntries(inside), ...own };
    return Object.keys(all).length > 0 ? all : undefined;
  };
  return merged(everything, visit(parseConfig("test", everything), "") ?? {}) as Record<string, object>;
}

const merged = (a: unknown, b: unknown): unknown =>
  isBlock(a) && isBlock(b)
    ? Object.fromEntries(
        [...new Set([...Object.keys(a), ...Object.keys(b)])].map((key) => [
          key,
          key in a && key in b ? merged(a[key], b[key]) : (a[key] ?? b[key]),
        ]),
      )
    : b;

interface Found {
  title: string;
  kind: string;
  component: ComponentKey | undefined;
  role: string;
  // biome-ignore lint/suspicious/noExplicitAny: a pod's fields as plain data
  pod: any;
}

const podsOf = ({ objects }: Evaluated): Found[] =>
  objects.flatMap((object: KubernetesObject) => {
    const pod = podOf(object);
    const labels = pod?.labels ?? {};
    return pod
      ? [
          {
            title: `${object.kind} ${object.metadata.name}`,
            kind: object.kind,
            component: componentOf(labels["app.kubernetes.io/name"] ?? ""),
            role: labels["app.kubernetes.io/component"] ?? "",
            pod,
          },
        ]
      : [];
  });

/** The block that a key is in, by the component that it belongs to: `monitoring.grafana` → `monitoring`. */
const first = (path: string) => path.split(".")[0];

const tolerations = [{ key: "dedicated", operator: "Exists", effect: "NoSchedule" }];
const affinity = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: "disk", operator: "In", values: ["ssd"] }] }],
    },
  },
};

describe("every key of a component", () => {
  let found: Found[];
  let objects: KubernetesObject[];
  beforeAll(async () => {
    const config = inEach((path) => ({
      pods: {
        nodeSelector: { block: path },
        tolerations,
        affinity,
        labels: { team: path },
        annotations: { "example.com/note": path },
        priorityClassName: "urgent",
        ...(!/databaseCluster$|^cloudnativePg$/.test(path) && {
          runtimeClassName: "gvisor",
          runAsUser: 4242,
          runAsGroup: 4343,
          ...(path !== "trino" && { terminationGracePeriodSeconds: 77 }),
        }),
      },
      ...(!/databaseCluster$|^cloudnativePg$/.test(path) && {
        env: {
          OWN_TEXT: "value",
          OWN_SECRET: { secretKeyRef: { name: "theirs", key: "token" } },
          OWN_FILE: { configMapKeyRef: { name: "theirs", key: "setting" } },
        },
        envFrom: [{ secretRef: { name: "theirs" } }, { configMapRef: { name: "theirs" } }],
      }),
    }));
    const program = await evaluated("test", { changes: stringify(config) });
    objects = program.objects;
    found = podsOf(program);
  });

  it("reaches pods of all kinds, and of every component", () => {
    expect([...new Set(found.map(({ kind }) => kind))].sort()).toEqual(["CronJob", "Deployment", "Job", "StatefulSet"]);
    expect([...new Set(found.map(({ component }) => component))].sort()).toEqual(
      Object.keys(registry)
        // Its pods are the chart's and the operator's.
        .filter((key) => key !== "cloudnativePg")
        .sort(),
    );
  });

  it("reaches each pod, from its own component's block", () => {
    for (const { title, component, pod } of found) {
      const { spec, labels, annotations } = pod;
      expect(first(spec.nodeSelector?.block ?? ""), title).toBe(component);
      const path = spec.nodeSelector.block;
      expect(spec, title).toMatchObject({
        tolerations,
        affinity,
        runtimeClassName: "gvisor",
        priorityClassName: "urgent",
        securityContext: { runAsUser: 4242, runAsGroup: 4343, fsGroup: 4343, runAsNonRoot: true },
      });
      if (component !== "trino") expect(spec.terminationGracePeriodSeconds, title).toBe(77);
      expect(labels.team, title).toBe(path);
      expect(annotations["example.com/note"], title).toBe(path);
    }
  });

  it("reaches each container, after the platform's variables", () => {
    for (const { title, pod } of found)
      for (const { name, env, envFrom } of containersOf(pod.spec)) {
        const names: string[] = env.map((variable: { name: string }) => variable.name);
        expect(names.slice(-3), `${title} ${name}`).toEqual(["OWN_FILE", "OWN_SECRET", "OWN_TEXT"]);
        expect(new Set(names).size, `${title} ${name}`).toBe(names.length);
        expect(env.at(-2).valueFrom, title).toEqual({ secretKeyRef: { name: "theirs", key: "token" } });
        expect(env.at(-3).valueFrom, title).toEqual({ configMapKeyRef: { name: "theirs", key: "setting" } });
        expect(envFrom, title).toEqual([{ secretRef: { name: "theirs" } }, { configMapRef: { name: "theirs" } }]);
      }
  });

  it("keeps every rule for pods and leaves selectors alone", () => {
    const problems = objects.flatMap((object) =>
      ["restricted", "labelled", "named", "isolated"].flatMap((rule) =>
        (rules[rule]?.(object) ?? []).map((problem) => `${object.kind} ${object.metadata.name}: ${problem}`),
      ),
    );
    expect(problems).toEqual([]);
    for (const { kind, spec } of objects)
      if (kind === "Deployment" || kind === "StatefulSet")
        expect(Object.keys(spec.selector.matchLabels)).not.toContain("team");
  });
});

it("a database cluster of CloudNativePG is placed by its operator's names", async () => {
  const changes = stringify({
    ...everything,
    global: { priorityClasses: true, pods: { zones: "preferred", labels: { team: "data" } } },
    polls: {
      database: "cloudnative-pg",
      databaseCluster: {
        pods: { nodeSelector: { disk: "ssd" }, tolerations, affinity, annotations: { "example.com/a": "b" } },
      },
    },
  });
  const { spec } = named(await evaluated("test", { changes }), "Cluster", "polls-database");
  expect(spec).toMatchObject({
    affinity: { nodeSelector: { disk: "ssd" }, tolerations, nodeAffinity: affinity.nodeAffinity },
    priorityClassName: "test-storage",
    topologySpreadConstraints: [{ topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "ScheduleAnyway" }],
    inheritedMetadata: { annotations: { "example.com/a": "b" } },
  });
  expect(spec.inheritedMetadata.labels).toMatchObject({ team: "data", "app.kubernetes.io/part-of": "data-platform" });
});

describe("a role's key", () => {
  type Node = { properties?: Record<string, Node> };
  const { properties } = JSON.parse(editorSchema()).properties.config as Node;
  const roles = Object.entries(properties ?? {}).flatMap(([key, { properties }]) => {
    const found = Object.keys(properties?.pods?.properties?.roles?.properties ?? {});
    return found.map((role) => [key.replace("data-platform:", ""), role] as const);
  });
  let found: Found[];
  beforeAll(async () => {
    const config = merged(
      inEach((path) => ({ pods: { labels: { team: "all" }, nodeSelector: { pool: path } } })),
      roles.reduce<unknown>(
        (all, [key, role]) =>
          merged(all, {
            [key]: {
              pods: { roles: { [role]: { labels: { only: role }, nodeSelector: { pool: `${key}-${role}` } } } },
            },
          }),
        {},
      ),
    );
    found = podsOf(await evaluated("test", { changes: stringify(config) }));
  });

  it("exists for the components whose roles have different needs", () => {
    expect(new Set(roles.map(([key]) => key))).toEqual(
      new Set(["airflow", "flink", "noetl", "spark", "superset", "trino", "webApp"]),
    );
  });

  it.each(roles)("of %s reaches %s alone, and adds to the component's labels", (key, role) => {
    const ofComponent = found.filter(
      ({ component, pod }) => component === key && pod.spec.nodeSelector.pool !== "noetl.nats",
    );
    const [inside, outside] = [true, false].map((is) => ofComponent.filter((one) => (one.role === role) === is));
    expect(inside?.length).toBeGreaterThan(0);
    for (const { pod } of inside ?? []) {
      expect(pod.spec.nodeSelector).toEqual({ pool: `${key}-${role}` });
      expect(pod.labels).toMatchObject({ only: role, team: "all" });
    }
    for (const { pod } of outside ?? []) expect(pod.spec.nodeSelector.pool).not.toBe(`${key}-${role}`);
  });
});

describe("a component's service account", () => {
  const own = (account: (path: string) => Block) =>
    inEach((path) => (/databaseCluster$|^cloudnativePg$/.test(path) ? {} : { serviceAccount: account(path) }));
  const rights = ["ServiceAccount", "Role", "RoleBinding"];
  const network = { networkPolicies: { enabled: true } };
  const render = async (config: object) =>
    evaluated("prod", { changes: stringify(merged({ ...everything, global: network }, config)) });
  const policies = ({ objects }: Evaluated) => objects.filter(({ kind }) => kind === "NetworkPolicy");
  let usual: Evaluated;
  beforeAll(async () => {
    usual = await render({});
  });

  it("is an existing one for all pods if the stack names it: no account, Role or RoleBinding is made", async () => {
    const existing = await render(own((path) => ({ name: `own-${path.toLowerCase()}` })));
    expect(existing.objects.filter(({ kind }) => rights.includes(kind))).toEqual([]);
    // The name of a Job has a hash of its pod.
    const token = ({ title, pod }: Found) => [
      title.replace(/-[0-9a-f]{8}$/, ""),
      pod.spec.automountServiceAccountToken,
    ];
    const found = podsOf(existing);
    for (const { title, component, pod } of found)
      expect(first(pod.spec.serviceAccountName.replace("own-", "")), title).toBe(component?.toLowerCase());
    // Each has a token if it had one, and reaches what it reached.
    expect(found.map(token)).toEqual(podsOf(usual).map(token));
    const tokens = found.filter(({ pod }) => pod.spec.automountServiceAccountToken).map(({ title }) => title);
    expect(tokens.sort()).toEqual([
      "Deployment deployd",
      "Deployment flink-jobmanager",
      "Deployment flink-taskmanager",
      "StatefulSet prometheus",
    ]);
    expect(policies(existing).length).toBeGreaterThan(20);
    expect(policies(existing)).toEqual(policies(usual));
  });

  it("has the stack's annotations if the platform makes it, and the same rights", async () => {
    const annotated = await render(own((path) => ({ annotations: { "example.com/role": path } })));
    const kinds = (kind: string, { objects }: Evaluated) => objects.filter((one) => one.kind === kind);
    const accounts = kinds("ServiceAccount", annotated);
    expect(accounts.length).toBeGreaterThan(20);
    for (const { metadata } of accounts) {
      const component = componentOf(metadata.labels?.["app.kubernetes.io/name"] ?? "");
      expect(first(metadata.annotations?.["example.com/role"] ?? ""), metadata.name).toBe(component);
    }
    for (const kind of ["Role", "RoleBinding"]) expect(kinds(kind, annotated)).toEqual(kinds(kind, usual));
    expect(podsOf(annotated)).toEqual(podsOf(usual));
  });
});

describe("a default for all", () => {
  it("reaches every pod, and a component's own replaces it", async () => {
    const changes = stringify({
      ...everything,
      global: {
        pods: { nodeSelector: { pool: "data" }, tolerations, labels: { team: "data" }, runtimeClassName: "gvisor" },
      },
      redis: { pods: { nodeSelector: { disk: "ssd" }, tolerations: [], labels: { cost: "7" } } },
    });
    for (const { title, component, pod } of podsOf(await evaluated("test", { changes }))) {
      const own = component === "redis";
      expect(pod.spec.nodeSelector, title).toEqual(own ? { disk: "ssd" } : { pool: "data" });
      expect(pod.spec.tolerations, title).toEqual(own ? [] : tolerations);
      expect(pod.spec.runtimeClassName, title).toBe("gvisor");
      expect(pod.labels, title).toMatchObject({ team: "data", ...(own && { cost: "7" }) });
    }
  });

  it("spreads replicas over zones: strictly those that decide by majority", async () => {
    const changes = stringify({
      ...everything,
      global: { pods: { zones: "preferred" } },
      trino: { pods: { zones: "ignored" } },
    });
    const strict: (string | undefined)[] = [];
    for (const { title, kind, component, pod } of podsOf(await evaluated("prod", { changes }))) {
      const zone = (pod.spec.topologySpreadConstraints ?? []).find(
        ({ topologyKey }: { topologyKey: string }) => topologyKey === "topology.kubernetes.io/zone",
      );
      if (kind === "Job" || kind === "CronJob" || component === "trino") expect(zone, title).toBeUndefined();
      else {
        expect(zone?.labelSelector.matchLabels["app.kubernetes.io/component"], title).toBe(
          pod.labels["app.kubernetes.io/component"],
        );
        if (zone.whenUnsatisfiable === "DoNotSchedule") strict.push(component);
      }
    }
    expect(strict.sort()).toEqual(["kafka", "minio"]);
  });

  it("of Services' annotations reaches those for clients outside, and no other", async () => {
    const internal = "service.beta.kubernetes.io/aws-load-balancer-internal";
    const changes = stringify({
      ...everything,
      global: { serviceAnnotations: { [internal]: "true" } },
      trino: { service: { type: "LoadBalancer", annotations: { "example.com/a": "b" } } },
    });
    const { objects } = await evaluated("test", { changes });
    const annotated = objects.filter(({ metadata }) => metadata.annotations?.[internal]);
    expect(annotated.filter(({ kind }) => kind !== "Service")).toEqual([]);
    expect(annotated.map(({ metadata }) => metadata.name).sort()).toEqual([
      "airflow",
      "app-test-service-flask",
      "app-test-service-nodeport-flask",
      "clickhouse",
      "deployd",
      "django-shop",
      "flink",
      "grafana",
      "kafka",
      "minio",
      "nessie",
      "noetl",
      "noetl-old",
      "polls",
      "postgresql",
      "prometheus",
      "redis",
      "schema-registry",
      "spark",
      "spark-history",
      "superset",
      "trino",
    ]);
    const trino = annotated.find(({ metadata }) => metadata.name === "trino");
    expect(trino?.metadata.annotations).toEqual({ [internal]: "true", "example.com/a": "b" });
  });
});

describe("the platform's priority classes", () => {
  let program: Evaluated;
  beforeAll(async () => {
    const changes = stringify({
      ...everything,
      global: { priorityClasses: true },
      redis: { pods: { priorityClassName: "urgent" } },
      trino: { pods: { roles: { coordinator: { priority: "storage" } } } },
    });
    program = await evaluated("prod", { changes });
  });

  it("put storage before compute before the web", () => {
    const classes = program.objects.filter(({ kind }) => kind === "PriorityClass");
    expect(classes.map((one) => [one.metadata.name, (one as { value?: number }).value])).toEqual([
      ["prod-compute", 2000],
      ["prod-storage", 3000],
      ["prod-web", 1000],
    ]);
    expect(classes.flatMap((one) => Object.values(rules).flatMap((rule) => rule(one)))).toEqual([]);
  });

  it("are what each pod has, unless the stack names another", () => {
    const pods = podsOf(program);
    const titles = (name: string) =>
      [
        ...new Set(pods.filter(({ pod }) => pod.spec.priorityClassName === name).map(({ component }) => component)),
      ].sort();
    expect(titles("prod-storage")).toEqual(["clickhouse", "kafka", "minio", "nessie", "noetl", "postgresql", "trino"]);
    expect(titles("prod-compute")).toEqual(["airflow", "flink", "noetl", "spark", "trino"]);
    expect(titles("urgent")).toEqual(["redis"]);
    expect([...new Set(pods.map(({ pod }) => pod.spec.priorityClassName))].sort()).toEqual([
      "prod-compute",
      "prod-storage",
      "prod-web",
      "urgent",
    ]);
  });

  it("exist before any pod that names one", () => {
    const { resources } = program.evaluation;
    const classes = resources.filter(({ type }) => type.endsWith(":PriorityClass")).map(({ urn }) => urn);
    expect(classes).toHaveLength(3);
    for (const { type, name, options } of resources)
      if (/:(Deployment|StatefulSet|Job|CronJob)$/.test(type))
        expect(options.dependencies, name).toEqual(expect.arrayContaining(classes));
  });
});

it("each variable of the platform is refused, with the key to use instead if there is one", async () => {
  const refusals: string[] = [];
  const accepted: string[] = [];
  const seen = new Set<string>();
  const index = merged(everything, { noetl: { packageIndex: "https://pypi.example.com/simple" } });
  for (const [stack, config] of [
    ["test", everything],
    ["prod", index],
  ] as const)
    for (const { title, component, pod } of podsOf(await evaluated(stack, { changes: stringify(config) }))) {
      // Django applications may give some of the platform's variables another value.
      if (!component || component === "polls" || component === "djangoApps") continue;
      const name = pod.labels["app.kubernetes.io/name"] as string;
      const block =
        {
          "noetl-nats": "noetl.nats",
          prometheus: "monitoring.prometheus",
          alertmanager: "monitoring.alertmanager",
          grafana: "monitoring.grafana",
          exporters: "monitoring.exporters",
        }[name] ?? component;
      for (const variable of containersOf(pod.spec).flatMap(({ env = [] }) => env) as { name: string }[]) {
        const id = `${block}.env.${variable.name}`;
        if (seen.has(id)) continue;
        seen.add(id);
        const values = block
          .split(".")
          .reduceRight<object>((inner, key) => ({ [key]: inner }), { env: { [variable.name]: "$(X)" } });
        try {
          parseConfig(stack, merged(everything, values) as Record<string, object>);
          accepted.push(`${title}: ${id}`);
        } catch (error) {
          refusals.push((error as Error).message);
        }
      }
    }
  expect(accepted).toEqual([]);
  expect(refusals.length).toBeGreaterThan(80);
  for (const message of refusals)
    expect(message).toMatch(
      /^stack (test|prod): [\w.]+: found a value that is not shown; expected another variable: the platform sets this one(; use [\w. ]+ instead)?$/,
    );
});
