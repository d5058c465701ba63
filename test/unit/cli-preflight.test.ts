// Proves what `up` refuses before anything changes: namespaces and Secrets that the configuration expects and a fake
// API server lacks.
// Does not prove that pods start with them: the cluster tests do.
import { readFileSync } from "node:fs";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { adopt, adoptedIn, adoptedNoLonger, deleteBegun, leftLine } from "../../cli/adopted.ts";
import type { StackState } from "../../cli/backend.ts";
import { needs, preflight } from "../../cli/preflight.ts";
import { parseConfig } from "../../config/problems.ts";
import type { Evaluation } from "../../render/evaluate.ts";
import type { StackFile } from "../../render/stack.ts";
import { type Evaluated, evaluated } from "../program/stacks.ts";
import { FakeApi } from "./fake-api.ts";

let api: FakeApi;
beforeEach(async () => {
  api = await FakeApi.start();
});
afterEach(() => api.stop());

const fileOf = (changes: Record<string, object>): StackFile => ({
  stack: "test",
  project: "data-platform",
  path: "",
  config: Object.fromEntries(Object.entries(changes).map(([part, block]) => [`data-platform:${part}`, block])),
  encrypted: [],
});

async function refusal(evaluation: Evaluation, changes: Record<string, object>): Promise<string[]> {
  return preflight(api.connect(), fileOf(changes), evaluation, { resources: [], pending: [] }).then(
    () => [],
    ({ message }: Error) => message.split("\n"),
  );
}

const namespace = (name: string) => api.connect().apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
const secret = (name: string, where: string, ...keys: string[]) =>
  api.connect().apply({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: where },
    data: Object.fromEntries(keys.map((key) => [key, ""])),
  });

const evaluate = (changes: Record<string, object>) => evaluated("test", { changes: stringify(changes) });

describe("a configured existing Secret", () => {
  const changes = { redis: { auth: { existingSecret: "my-redis" } }, monitoring: { enabled: true } };
  let program: Evaluated;
  const found = () => refusal(program.evaluation, changes);

  it("is reported for every namespace whose pods use it, all at once, until it exists with its keys", async () => {
    program = await evaluate(changes);
    const [apps, core, monitoring] = await found();
    expect(apps).toMatch(
      /^stack test: redis\.auth\.existingSecret: found no Secret my-redis, and no namespace test-apps; expected one with the key password there, for Deployment test-apps\/airflow-api-server and \d+ more; make both before the first `up`, and set namespaces\.apps\.create to false$/,
    );
    expect(core).toContain("no namespace test-core");
    expect(monitoring).toContain("no namespace test-monitoring");

    for (const name of ["test-apps", "test-core", "test-monitoring"]) await namespace(name);
    await secret("my-redis", "test-apps", "password");
    await secret("my-redis", "test-core", "pasword");
    expect(await found()).toEqual([
      "stack test: redis.auth.existingSecret: found Secret my-redis in namespace test-core without the key password; expected the key password, for StatefulSet test-core/redis",
      "stack test: redis.auth.existingSecret: found no Secret my-redis in namespace test-monitoring; expected one with the key password, for Deployment test-monitoring/exporters-redis",
    ]);

    await secret("my-redis", "test-core", "password");
    await secret("my-redis", "test-monitoring", "password");
    expect(await found()).toEqual([]);
  });

  it("is not checked if the login may not read it", async () => {
    for (const name of ["test-apps", "test-core", "test-monitoring"]) await namespace(name);
    api.answer = (_, title) => (title.startsWith("Secret") ? { code: 403, message: "forbidden" } : undefined);
    expect(await found()).toEqual([]);
  });
});

it("a Secret or ConfigMap that pods use is reported by the key that names it", async () => {
  const changes = {
    trino: {
      env: { TOKEN: { secretKeyRef: { name: "theirs", key: "token" } } },
      envFrom: [{ configMapRef: { name: "settings" } }],
    },
    polls: { envFrom: [{ secretRef: { name: "mail" } }] },
    airflow: { dags: { git: { repository: "https://git.example.com/dags.git", caConfigMap: "git-ca" } } },
  };
  const { evaluation } = await evaluate(changes);
  for (const name of ["test-apps", "test-core"]) await namespace(name);
  await secret("theirs", "test-apps", "tokens");
  expect(await refusal(evaluation, changes)).toEqual([
    expect.stringContaining(
      "stack test: airflow.dags.git.caConfigMap: found no ConfigMap git-ca in namespace test-apps; expected one, for ",
    ),
    "stack test: trino.envFrom[0].configMapRef.name: found no ConfigMap settings in namespace test-apps; expected one, for Deployment test-apps/trino-coordinator and 1 more",
    expect.stringMatching(
      /^stack test: polls\.envFrom\[0\]\.secretRef\.name: found no Secret mail in namespace test-apps; expected one, for Deployment test-apps\/polls and 1 more$/,
    ),
    "stack test: trino.env.TOKEN.secretKeyRef.name: found Secret theirs in namespace test-apps without the key token; expected the key token, for Deployment test-apps/trino-coordinator and 1 more",
  ]);
});

it("a ServiceAccount that pods name and nobody has made, or that the update would delete, is reported by its key", async () => {
  const changes = {
    flink: { serviceAccount: { name: "jobs", roles: { taskmanager: { name: "readers" } } } },
    redis: { serviceAccount: { name: "redis" } },
  };
  const { evaluation } = await evaluate(changes);
  const account = (name: string, where: string) =>
    api.connect().apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: where } });
  for (const name of ["test-apps", "test-core"]) await namespace(name);
  await account("readers", "test-apps");
  expect(await refusal(evaluation, changes)).toEqual([
    "stack test: flink.serviceAccount.name: found no ServiceAccount jobs in namespace test-apps; expected one, for Deployment test-apps/flink-jobmanager",
    "stack test: redis.serviceAccount.name: found no ServiceAccount redis in namespace test-core; expected one, for StatefulSet test-core/redis",
  ]);
  await account("jobs", "test-apps");
  await account("redis", "test-core");
  expect(await refusal(evaluation, changes)).toEqual([]);

  const before = (await evaluate({})).evaluation;
  const state = { resources: before.resources, pending: [] };
  await expect(preflight(api.connect(), fileOf(changes), evaluation, state)).rejects.toThrow(
    "stack test: redis.serviceAccount.name: found ServiceAccount redis in namespace test-core, which this stack made and would now delete; expected one of another name",
  );
});

it("a class that pods name and the cluster lacks is reported by the key that names it", async () => {
  const changes = {
    global: { priorityClasses: true },
    redis: { pods: { priorityClassName: "urgent", runtimeClassName: "gvisor" } },
  };
  const { evaluation } = await evaluate(changes);
  for (const name of ["test-apps", "test-core"]) await namespace(name);
  expect(await refusal(evaluation, changes)).toEqual([
    "stack test: redis.pods.priorityClassName: found no PriorityClass urgent in the cluster; expected it to exist, for StatefulSet test-core/redis: the cluster refuses pods that name it",
    "stack test: redis.pods.runtimeClassName: found no RuntimeClass gvisor in the cluster; expected it to exist, for StatefulSet test-core/redis: the cluster refuses pods that name it",
  ]);
  await api
    .connect()
    .apply({ apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass", metadata: { name: "urgent" }, value: 7 });
  await api
    .connect()
    .apply({ apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: { name: "gvisor" }, handler: "runsc" });
  expect(await refusal(evaluation, changes)).toEqual([]);
});

describe("a namespace that the stack does not create", () => {
  const changes = { namespaces: { core: { name: "team-core", create: false } } };

  it("must exist, and is neither created nor deleted", async () => {
    const program = await evaluate(changes);
    const made = program.objects.filter(({ kind }) => ["Namespace", "ResourceQuota", "LimitRange"].includes(kind));
    expect(made.map(({ metadata }) => metadata.name).sort()).toEqual(["test-apps", "test-deployed"]);
    expect(program.objects.filter(({ metadata }) => metadata.namespace === "team-core").length).toBeGreaterThan(10);
    expect(await refusal(program.evaluation, changes)).toEqual([
      "stack test: namespaces.core.create: found false and no namespace team-core in the cluster; expected one to exist: kubectl create namespace team-core",
    ]);
    await namespace("team-core");
    expect(await refusal(program.evaluation, changes)).toEqual([]);
  });
});

describe("an object that already exists", () => {
  const nothing: StackState = { resources: [], pending: [] };
  let program: Evaluated;
  const check = (state = nothing) => preflight(api.connect(), fileOf({}), program.evaluation, state);
  /** A state with the program's objects of these kinds. */
  const knowing = (...kinds: string[]): StackState["resources"] =>
    program.evaluation.resources
      .filter(({ type }) => kinds.includes(type.split(":").at(-1) ?? ""))
      .map(({ urn, type, custom, inputs }) => ({ urn, type, custom, inputs }));
  beforeAll(async () => {
    program = await evaluate({});
  });

  it("is adopted if it is a namespace without an owner, and is marked as adopted", async () => {
    await namespace("test-core");
    const adopted = await check();
    expect(adopted.map(({ metadata }) => metadata.name)).toEqual(["test-core"]);
    await adopt(api.connect(), adopted);
    await namespace("test-apps");
    const state = { resources: knowing("Namespace"), pending: [] };
    expect(await check(state)).toEqual([]);
    const kept = await adoptedIn(api.connect(), state);
    expect(kept.map(({ object }) => object.metadata.name)).toEqual(["test-core"]);
    expect(kept[0]?.urn).toMatch(/:Namespace::core$/);
  });

  it("is refused if it is another stack's namespace or any other object, unless it is in the state", async () => {
    const labels = { "app.kubernetes.io/part-of": "data-platform", "app.kubernetes.io/instance": "prod" };
    const metadata = { name: "test-core", labels };
    await api.connect().apply({ apiVersion: "v1", kind: "Namespace", metadata });
    await secret("redis-admin", "test-core");
    await expect(check()).rejects.toMatchObject({
      name: "ConfigError",
      message:
        "stack test: Namespace test-core, Secret test-core/redis-admin: found in the cluster, and this stack did not make it; expected to find nothing of that name: delete it, or configure another namespace",
    });
    const [namespaces, secrets] = [knowing("Namespace"), knowing("Secret")];
    expect(await check({ resources: [...namespaces, ...secrets], pending: [] })).toEqual([]);
    // Of an update that was killed before it recorded the creation.
    const pending = secrets.map((resource) => ({ type: "creating", resource }));
    expect(await check({ resources: namespaces, pending })).toEqual([]);
  });
});

describe("an adopted namespace that the stack no longer has", () => {
  let state: StackState;
  const left = async (changes: Record<string, object>) =>
    adoptedNoLonger(api.connect(), fileOf(changes), (await evaluate(changes)).evaluation, state);
  beforeAll(async () => {
    const { evaluation } = await evaluate({ monitoring: { enabled: true } });
    state = { resources: evaluation.resources, pending: [] };
  });
  beforeEach(async () => {
    for (const name of ["test-core", "test-apps", "test-monitoring"]) await namespace(name);
    const metadata = { name: "test-monitoring" };
    await adopt(api.connect(), [{ apiVersion: "v1", kind: "Namespace", metadata }]);
  });

  it("is left by an update; one that the stack created is not", async () => {
    expect(await left({ monitoring: { enabled: true } })).toEqual([]);
    const found = await left({ namespaces: { core: { create: false } } });
    expect(found.map(leftLine)).toEqual(["left in the cluster, as it was there before: Namespace test-monitoring"]);
    expect(found[0]?.urn).toMatch(/:Namespace::monitoring$/);
    expect(await left({ monitoring: { enabled: true }, namespaces: { monitoring: { create: false } } })).toEqual(found);
  });

  it("is not left if it was deleted by hand", async () => {
    await api.connect().delete({ apiVersion: "v1", kind: "Namespace", metadata: { name: "test-monitoring" } });
    expect(await left({})).toEqual([]);
  });

  it("does not get another name, which would replace it", async () => {
    await expect(
      left({ monitoring: { enabled: true }, namespaces: { monitoring: { name: "mine" } } }),
    ).rejects.toMatchObject({
      name: "ConfigError",
      message:
        "stack test: namespaces.monitoring.name: found mine; expected test-monitoring, which existed before the stack and would be deleted; to leave it, create mine yourself and set create to false",
    });
  });
});

it("objects that a killed update may have created are deleted, except adopted and patched ones", async () => {
  const begun = (type: string, kind: string, name: string, namespace?: string) => ({
    type: "creating",
    resource: {
      urn: "",
      custom: true,
      type: `kubernetes:core/v1:${type}`,
      inputs: { apiVersion: "v1", kind, metadata: { name, ...(namespace && { namespace }) } },
    },
  });
  await namespace("mine");
  await namespace("theirs");
  await adopt(api.connect(), [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "theirs" } }]);
  await secret("one", "mine");
  await secret("two", "mine");
  const pending = [
    begun("Namespace", "Namespace", "theirs"),
    begun("Secret", "Secret", "one", "mine"),
    begun("SecretPatch", "Secret", "two", "mine"),
    begun("ConfigMap", "ConfigMap", "never-made", "mine"),
    { ...begun("Secret", "Secret", "two", "mine"), type: "updating" },
  ];
  api.writes.length = 0;
  await deleteBegun(api.connect(), { resources: [], pending });
  expect(api.writes).toEqual(["DELETE Secret mine/one"]);
});

it("a stack without existing Secrets needs nothing", async () => {
  const { evaluation } = await evaluated("dev");
  expect(await refusal(evaluation, {})).toEqual([]);
});

/** Every key that names a Secret or ConfigMap, with a name derived from the key. */
const named = {
  ...Object.fromEntries(
    Object.entries(parseConfig("unit", {}))
      // Kafka's passwords are always generated.
      .filter(([component, block]) => "auth" in block && component !== "kafka")
      .map(([component]) => [component, { auth: { existingSecret: `${component}-auth`.toLowerCase() } }]),
  ),
  airflow: {
    auth: { existingSecret: "airflow-auth" },
    dags: { git: { repository: "https://example.com/dags.git", existingSecret: "airflow-git" } },
  },
  deployd: { auth: { existingSecret: "deployd-auth" }, tokensSecret: "deployd-tokens" },
  monitoring: { enabled: true, grafana: { auth: { existingSecret: "grafana-auth" } } },
};
const keyOf: Record<string, string> = {
  ...Object.fromEntries(
    Object.keys(named).map((part) => [`${part.toLowerCase()}-auth`, `${part}.auth.existingSecret`]),
  ),
  "grafana-auth": "monitoring.grafana.auth.existingSecret",
  "airflow-git": "airflow.dags.git.existingSecret",
  "deployd-tokens": "deployd.tokensSecret",
};

it("names the key of Alertmanager's configuration whose file is in a Secret that is missing", async () => {
  const receivers = [{ name: "team", slack_configs: [{ api_url_file: "/etc/alertmanager/secrets/chat/url" }] }];
  const alertmanager = { enabled: true, config: { route: { receiver: "team" }, receivers } };
  const changes = { monitoring: { enabled: true, alertmanager } };
  await Promise.all(["test-core", "test-apps", "test-monitoring"].map(namespace));
  const { evaluation } = await evaluate(changes);
  expect((await refusal(evaluation, changes)).filter((line) => line.includes("chat"))).toEqual([
    "stack test: monitoring.alertmanager.config.receivers[0].slack_configs[0].api_url_file: found no Secret chat in namespace test-monitoring; expected one with the key url, for StatefulSet test-monitoring/alertmanager",
  ]);
});

describe("a kind of an operator", () => {
  const kinds = [
    { apiVersion: "keda.sh/v1alpha1", kind: "ScaledObject", name: "airflow-worker" },
    { apiVersion: "keda.sh/v1alpha1", kind: "TriggerAuthentication", name: "airflow-worker" },
  ];

  it.each(kinds)("$kind is refused until the cluster has it, with the key that needs it", async ({ kind, name }) => {
    const changes = { airflow: { worker: { autoscale: { min: 1, max: 3, queue: 2 } } } };
    await Promise.all(["test-core", "test-apps"].map(namespace));
    const { evaluation } = await evaluate(changes);
    const line = `stack test: airflow.worker.autoscale.queue: found no kind ${kind} of keda.sh/v1alpha1 in the cluster; expected KEDA to be installed, for ${kind} test-apps/${name}`;
    expect(await refusal(evaluation, changes)).toContain(line);
    api.kinds["/apis/keda.sh/v1alpha1"] = [
      ["ScaledObject", "scaledobjects", true],
      ["TriggerAuthentication", "triggerauthentications", true],
    ];
    expect(await refusal(evaluation, changes)).toEqual([]);
  });

  it("of the Prometheus Operator is refused too", async () => {
    const changes = { monitoring: { enabled: true, monitors: { enabled: true } } };
    await Promise.all(["test-core", "test-apps", "test-monitoring"].map(namespace));
    const { evaluation } = await evaluate(changes);
    expect(await refusal(evaluation, changes)).toEqual([
      expect.stringMatching(
        /^stack test: monitoring\.monitors\.enabled: found no kind PodMonitor of monitoring\.coreos\.com\/v1 in the cluster; expected the Prometheus Operator to be installed, for PodMonitor \S+ and \d+ more$/,
      ),
    ]);
  });
});

describe("a Gateway of the routes", () => {
  const changes = {
    global: { domain: "data.example.com", networkPolicies: { enabled: false } },
    frontDoor: { routes: "httpRoute", gateway: { name: "public", namespace: "gateways" } },
  };
  const gateway = (...listeners: string[]) =>
    api.connect().apply({
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: { name: "public", namespace: "gateways" },
      spec: { listeners: listeners.map((name) => ({ name })) },
    });
  const route = expect.stringMatching(/^for HTTPRoute test-apps\/airflow and \d+ more$/);
  const lines = async () =>
    (await refusal((await evaluate(changes)).evaluation, changes)).map((line) => {
      const [problem, users] = line.split(/, (?=for HTTPRoute)/);
      return { problem, users };
    });
  const lacks = (found: string, listener: string) =>
    expect.objectContaining({
      problem: `stack test: frontDoor.gateway: found ${found} in namespace gateways; expected one with the listener ${listener}`,
    });

  it("is refused until the cluster has Gateway API, the Gateway, and its listeners", async () => {
    await Promise.all(["test-core", "test-apps", "gateways"].map(namespace));
    expect(await lines()).toEqual([
      {
        problem:
          "stack test: frontDoor.routes: found no kind HTTPRoute of gateway.networking.k8s.io/v1 in the cluster; expected Gateway API to be installed",
        users: route,
      },
      lacks("no Gateway public", "http"),
      lacks("no Gateway public", "https"),
    ]);
    api.kinds["/apis/gateway.networking.k8s.io/v1"] = [
      ["HTTPRoute", "httproutes", true],
      ["Gateway", "gateways", true],
    ];
    expect(await lines()).toEqual([lacks("no Gateway public", "http"), lacks("no Gateway public", "https")]);
    await gateway("https");
    expect(await lines()).toEqual([lacks("Gateway public without it", "http")]);
    await gateway("https", "http");
    expect(await lines()).toEqual([]);
  });
});

it("docs/secrets.md lists the namespaces and keys of each", async () => {
  const { objects } = await evaluate(named);
  const rows = new Map<string, { keys: Set<string>; where: Set<string> }>();
  for (const { name, keys, namespace } of needs(objects)) {
    const row = rows.get(name) ?? { keys: new Set(), where: new Set() };
    for (const key of keys) row.keys.add(key);
    rows.set(name, { ...row, where: row.where.add(namespace.replace("test-", "")) });
  }
  const code = (names: Set<string>) =>
    [...names]
      .sort()
      .map((name) => `\`${name}\``)
      .join(", ");
  const lines = [...rows].map(
    ([name, { keys, where }]) => `| \`${keyOf[name]}\` | ${code(keys) || "one for each `token`"} | ${code(where)} |`,
  );
  expect(rows.size).toBe(Object.keys(keyOf).length - 1);
  const page = readFileSync("docs/secrets.md", "utf8").split("\n");
  expect(lines.filter((line) => !page.includes(line))).toEqual([]);
});
