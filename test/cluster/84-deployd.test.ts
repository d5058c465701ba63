// Proves that deployd deploys real repositories, which git serves over HTTP from this machine, and follows their
// commits.
// Does not prove TLS, nor a webhook from GitHub itself: the test signs its requests as GitHub documents it.
// Exercises: deployd, apps/deployd.
import { createHmac } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { GitServer } from "../../apps/deployd/test/git-server.ts";
import { cacheDir } from "../../config/paths.ts";
import {
  ask,
  configMap,
  configuration,
  configure,
  namespace,
  own,
  removeDeployed,
  summary,
  urlOf,
  value,
} from "./deployd.ts";
import { get, kube, podsOf, ready, runIn, secret, smallStack, succeedPod } from "./kit.ts";

let git: GitServer;
let url: string;
let webhookSecret: string;
/** The token for requesting a sync. */
let authorization: string;
/** The stack's own configuration of deployd, restored at the end. */
let before: string;

/** A Deployment of one idle pod, with the image that every cluster has. */
const workload = (name: string, version: string, image = "registry.k8s.io/pause:3.10", account?: string) =>
  stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name }, annotations: { version } },
        spec: {
          ...(account && { serviceAccountName: account }),
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 1,
          securityContext: { runAsNonRoot: true, runAsUser: 65535, seccompProfile: { type: "RuntimeDefault" } },
          containers: [
            {
              name: "main",
              image,
              securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
              resources: { requests: { memory: "8Mi" }, limits: { memory: "16Mi" } },
            },
          ],
        },
      },
    },
  });

/** A Job that never ends. Its image depends on the version. */
const job = (version: string, annotations: Record<string, string> = {}) => {
  const { spec, metadata } = parse(workload("shop-job", version));
  const template = { ...spec.template, spec: { ...spec.template.spec, restartPolicy: "Never" } };
  return stringify({ apiVersion: "batch/v1", kind: "Job", metadata: { ...metadata, annotations }, spec: { template } });
};

const chart = {
  "deploy/manifests/Chart.yaml": stringify({ apiVersion: "v2", name: "chart", version: "1.0.0" }),
  "deploy/manifests/values.yaml": "size: small\n",
  "deploy/manifests/values-test.yaml": "size: tested\n",
  "deploy/manifests/templates/map.yaml": configMap("shop-chart", "{{ .Values.size }} {{ .Release.Name }}"),
};
const kustomization = {
  "deploy/manifests/kustomization.yaml": "resources: [map.yaml]\n",
  "deploy/manifests/map.yaml": configMap("shop-kustomized", "base"),
  "deploy/overlays/test/kustomization.yaml": stringify({
    resources: ["../../manifests"],
    patches: [{ patch: configMap("shop-kustomized", "tested") }],
  }),
};

/** Timeout in seconds where no limit is promised, long enough for a busy machine. */
const soon = 90;

/** Waits until a check passes and returns the seconds that took. Fails after `within` seconds. */
async function seconds(within: number, check: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await vi.waitFor(check, { timeout: within * 1000, interval: 200 });
  return (performance.now() - start) / 1000;
}

const phase = (name: string, wanted: string) => async () =>
  expect(await summary(name)).toMatchObject({ phase: wanted });

/** A push event as GitHub sends it. */
function push(name: string, by = webhookSecret) {
  const body = JSON.stringify({ ref: "refs/heads/main", repository: { full_name: name } });
  return ask("/webhook", {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "x-github-event": "push",
      "x-hub-signature-256": `sha256=${createHmac("sha256", by).update(body).digest("hex")}`,
    },
  });
}

/** Commits these files and waits until all objects are ready. Returns the deployed commit. */
async function deployed(name: string, files: Parameters<GitServer["commit"]>[1]): Promise<string> {
  const head = await git.commit(name, files);
  await push(name);
  await seconds(soon, async () => expect(await summary(name)).toMatchObject({ head, phase: "ready", error: null }));
  return (await summary(name)).commit;
}

const repositories = () =>
  stringify({
    repositories: Object.entries({
      "shop/web": { interval: 5, prune: true },
      "shop/kustomized": { interval: 5, environment: "test" },
      "shop/chart": { interval: 5, environment: "test", repairDrift: true },
      "shop/pushed": { interval: 3600 },
      "shop/hangs": { interval: 5 },
    }).map(([name, more]) => ({ name, url: git.url(name), namespace, ...more })),
  });

beforeAll(async () => {
  await smallStack();
  url = await urlOf();
  const credentials = await secret("deployd-webhook", own);
  webhookSecret = credentials.secret!;
  authorization = `Bearer ${credentials.token}`;
  before = await configuration();
  // Pods reach this machine at the address where the API server listens.
  git = await GitServer.start(new URL(kube().server).hostname);
  git.hanging.add("shop/hangs");
  await git.commit("shop/web", {
    "deploy/manifests/map.yaml": configMap("shop-web", "1"),
    "deploy/manifests/extra.yaml": configMap("shop-extra", "1"),
    "deploy/manifests/web.yaml": workload("shop-web", "1"),
  });
  await git.commit("shop/kustomized", kustomization);
  await git.commit("shop/chart", chart);
  await git.commit("shop/pushed", { "deploy/manifests/map.yaml": configMap("shop-pushed", "1") });
  await configure(repositories());
  await seconds(soon, async () => expect((await ask("/deployments")).body.deployments).toHaveLength(5));
});

afterAll(async () => {
  if (before) await configure(before);
  git?.stop();
  await removeDeployed();
});

it("deploys plain manifests, a kustomization with an overlay and a chart with values; one that hangs does not block the others", async () => {
  await seconds(soon, phase("shop/web", "ready"));
  await seconds(soon, phase("shop/kustomized", "ready"));
  await seconds(soon, phase("shop/chart", "ready"));
  await seconds(soon, phase("shop/pushed", "ready"));
  expect(await Promise.all(["shop-web", "shop-kustomized", "shop-chart", "shop-pushed"].map(value))).toEqual([
    "1",
    "tested",
    "tested chart",
    "1",
  ]);
  expect((await summary("shop/web")).objects).toEqual([
    { apiVersion: "v1", kind: "ConfigMap", name: "shop-extra", ready: null, done: true, message: null },
    { apiVersion: "v1", kind: "ConfigMap", name: "shop-web", ready: null, done: true, message: null },
    { apiVersion: "apps/v1", kind: "Deployment", name: "shop-web", ready: "1/1", done: true, message: null },
  ]);
  expect(await summary("shop/hangs")).toMatchObject({ commit: null, objects: [] });
  const { managedFields, labels } = (await kube().get(ref("apps/v1", "Deployment", "shop-web")))!.metadata;
  expect(labels).toEqual({ "deployd/repository": "shop.web" });
  expect(managedFields).toContainEqual(expect.objectContaining({ manager: "deployd", operation: "Apply" }));
});

const ref = (apiVersion: string, kind: string, name: string) => ({ apiVersion, kind, metadata: { name, namespace } });

it("deploys a commit within 15 seconds by polling", async () => {
  const commit = await git.commit("shop/web", { "deploy/manifests/map.yaml": configMap("shop-web", "2") });
  await seconds(15, async () => expect(await value("shop-web")).toBe("2"));
  await seconds(soon, async () => expect(await summary("shop/web")).toMatchObject({ phase: "ready", commit }));
});

it("deploys a commit within 5 seconds by the webhook", async () => {
  await git.commit("shop/pushed", { "deploy/manifests/map.yaml": configMap("shop-pushed", "2") });
  expect(await push("shop/pushed")).toEqual({ code: 202, body: { triggered: ["shop/pushed"] } });
  await seconds(5, async () => expect(await value("shop-pushed")).toBe("2"));
});

it("redeploys nothing for a commit outside the path", async () => {
  await deployed("shop/pushed", { "deploy/manifests/map.yaml": configMap("shop-pushed", "there") });
  const { commit, deployedAt } = await summary("shop/pushed");
  const version = (await get("ConfigMap", "shop-pushed", namespace))!.metadata.resourceVersion;
  const head = await git.commit("shop/pushed", { "src/main.ts": "console.log(1)" });
  await push("shop/pushed");
  await seconds(soon, async () => expect(await summary("shop/pushed")).toMatchObject({ head }));
  expect(await summary("shop/pushed")).toMatchObject({ phase: "ready", commit, deployedAt });
  expect((await get("ConfigMap", "shop-pushed", namespace))!.metadata.resourceVersion).toBe(version);
});

it.each([
  ["is no YAML", "kind: [", /broken\.yaml/],
  ["has a misspelt field", configMap("shop-broken", "1").replace("\ndata:", "\ndota:"), /dota/],
  [
    "is of a kind that deployd may not make",
    configMap("shop-broken", "1").replace("ConfigMap", "Secret"),
    /no right to get secrets/,
  ],
  ["has a name of deployd's own", configMap("deployd-record-0123456789", "1"), /are deployd's own/],
  ["runs as an account of someone else's", workload("shop-broken", "1", undefined, "shop-other"), /does not declare/],
])(
  "leaves what runs alone when a manifest %s, says so, and recovers with the next good commit",
  async (_, broken, message) => {
    const good = {
      "deploy/manifests/map.yaml": configMap("shop-web", "good"),
      "deploy/manifests/broken.yaml": null,
      "deploy/manifests/web.yaml": workload("shop-web", "1"),
    };
    const commit = await deployed("shop/web", good);
    const pods = async () =>
      (await kube().list("v1", "Pod", namespace))
        .filter((one) => one.metadata.labels?.app === "shop-web")
        .map((one) => one.metadata.uid);
    const running = await pods();
    const bad = await git.commit("shop/web", {
      "deploy/manifests/map.yaml": configMap("shop-web", "broken"),
      "deploy/manifests/broken.yaml": broken,
      "deploy/manifests/web.yaml": workload("shop-web", "broken"),
    });
    await seconds(soon, async () =>
      expect(await summary("shop/web")).toMatchObject({
        phase: "failed",
        commit,
        head: bad,
        error: { message: expect.stringMatching(message), commit: bad },
      }),
    );
    expect(await value("shop-web")).toBe("good");
    expect(await pods()).toEqual(running);
    // No webhook reports the next one.
    const head = await git.commit("shop/web", {
      ...good,
      "deploy/manifests/map.yaml": configMap("shop-web", "better"),
    });
    await seconds(soon, async () =>
      expect(await summary("shop/web")).toMatchObject({ phase: "ready", error: null, commit: head }),
    );
    expect(await value("shop-web")).toBe("better");
  },
);

it("reports a version that the cluster accepts but that does not start", async () => {
  await git.commit("shop/web", {
    "deploy/manifests/broken.yaml": null,
    "deploy/manifests/web.yaml": workload("shop-web", "2", "registry.k8s.io/pause:none"),
  });
  await seconds(soon, async () => {
    const { phase, objects } = await summary("shop/web");
    expect(phase).toBe("progressing");
    const { message } = objects.find(({ kind }: { kind: string }) => kind === "Deployment");
    expect(message).toMatch(/main: (ErrImagePull|ImagePullBackOff)/);
  });
  await deployed("shop/web", { "deploy/manifests/web.yaml": workload("shop-web", "1") });
});

it("deletes objects that are no longer declared, only if pruning is on", async () => {
  await deployed("shop/web", { "deploy/manifests/extra.yaml": configMap("shop-extra", "2") });
  await deployed("shop/web", { "deploy/manifests/extra.yaml": null });
  expect(await value("shop-extra")).toBeUndefined();
  await deployed("shop/pushed", { "deploy/manifests/map.yaml": configMap("shop-pushed", "kept") });
  await deployed("shop/pushed", {
    "deploy/manifests/map.yaml": null,
    "deploy/manifests/other.yaml": configMap("shop-other", "1"),
  });
  expect(await value("shop-other")).toBe("1");
  expect(await value("shop-pushed")).toBe("kept");
  expect((await summary("shop/pushed")).objects).toContainEqual(
    expect.objectContaining({ name: "shop-pushed", message: "no longer declared, and left since prune is off" }),
  );
});

it("does not change objects that it has not created", async () => {
  const metadata = { name: "theirs", namespace };
  await kube().create({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { value: "theirs" } });
  await git.commit("shop/pushed", { "deploy/manifests/other.yaml": configMap("theirs", "1") });
  await push("shop/pushed");
  await seconds(soon, phase("shop/pushed", "failed"));
  expect((await summary("shop/pushed")).error.message).toContain(
    "ConfigMap theirs: exists and was not made by deployd",
  );
  expect(await value("theirs")).toBe("theirs");
  await kube().delete({ apiVersion: "v1", kind: "ConfigMap", metadata });
  await deployed("shop/pushed", { "deploy/manifests/other.yaml": configMap("shop-other", "1") });
});

it("runs pods under a service account that the repository declares", async () => {
  const account = stringify({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "shop-account" } });
  await deployed("shop/web", {
    "deploy/manifests/account.yaml": account,
    "deploy/manifests/account-web.yaml": workload("shop-account", "1", undefined, "shop-account"),
  });
  await deployed("shop/web", {
    "deploy/manifests/account-web.yaml": null,
    "deploy/manifests/account.yaml": null,
  });
});

it("replaces a Job whose pod template changed, if an annotation requests it", async () => {
  const uid = async () => (await kube().get(ref("batch/v1", "Job", "shop-job")))?.metadata.uid;
  const dealtWith = async (text: string, error: object | null) => {
    const head = await git.commit("shop/web", { "deploy/manifests/job.yaml": text });
    await push("shop/web");
    await seconds(soon, async () => expect(await summary("shop/web")).toMatchObject({ head, error }));
  };
  await dealtWith(job("1"), null);
  const first = await uid();
  await dealtWith(job("2"), {
    message: expect.stringMatching(/^Job shop-job: spec\.template: field is immutable\. The/),
  });
  expect(await uid()).toBe(first);
  await dealtWith(job("2", { "deployd/replace": "true" }), null);
  expect(await uid()).not.toBe(first);
  await deployed("shop/web", { "deploy/manifests/job.yaml": null });
});

describe("an object that someone changed by hand", () => {
  const change = async (name: string) => {
    const map = (await get("ConfigMap", name, namespace))!;
    await kube().replace({ ...map, data: { value: "by hand" } } as typeof map);
  };

  it("is detected, and shown", async () => {
    await change("shop-kustomized");
    await seconds(soon, phase("shop/kustomized", "drifted"));
    expect((await summary("shop/kustomized")).drift).toEqual(["ConfigMap shop-kustomized: changed"]);
    const { changes } = (await ask("/deployment/shop/kustomized/diff")).body;
    expect(changes).toHaveLength(1);
    expect(changes[0].diff).toContain("-  value: by hand\n+  value: tested");
  });

  it("is reverted on request", async () => {
    const sync = (headers: Record<string, string>) =>
      ask("/deployment/shop/kustomized/sync", { method: "POST", headers });
    expect((await sync({})).code).toBe(401);
    expect((await sync({ authorization: "Bearer another" })).code).toBe(401);
    expect(await value("shop-kustomized")).toBe("by hand");
    expect((await sync({ authorization })).code).toBe(202);
    await seconds(soon, async () => expect(await value("shop-kustomized")).toBe("tested"));
    await seconds(soon, phase("shop/kustomized", "ready"));
  });

  it("is reverted automatically, if configured", async () => {
    await change("shop-chart");
    await seconds(soon, async () => expect(await value("shop-chart")).toBe("tested chart"));
  });
});

it("refuses a webhook with a wrong signature, and one of an unknown repository", async () => {
  expect((await push("shop/web", "another secret")).code).toBe(401);
  expect((await push("shop/nobody")).code).toBe(404);
  expect((await ask("/deployment/shop/nobody")).code).toBe(404);
});

it("keeps the last valid configuration while the new one is invalid, and reports the error", async () => {
  await configure("repositories: 7");
  await seconds(soon, async () =>
    expect((await ask("/deployments")).body).toMatchObject({
      configuration: { error: "repositories: expected a list of repositories" },
      deployments: { length: 5 },
    }),
  );
  await deployed("shop/pushed", { "deploy/manifests/other.yaml": configMap("shop-other", "2") });
  expect(await value("shop-other")).toBe("2");
  await configure(repositories());
  await seconds(soon, async () => expect((await ask("/deployments")).body.configuration.error).toBeNull());
});

it("loses nothing when its pod is replaced", async () => {
  // The state includes an error.
  await git.commit("shop/pushed", { "deploy/manifests/broken.yaml": "kind: [" });
  await push("shop/pushed");
  await seconds(soon, phase("shop/pushed", "failed"));
  const state = async () =>
    Promise.all(
      ["shop/web", "shop/kustomized", "shop/chart", "shop/pushed"].map(async (name) => {
        const { phase, commit, deployedAt, head, error, objects } = await summary(name);
        return { name, phase, commit, deployedAt, head, error: error?.message, objects };
      }),
    );
  const known = await state();
  const versions = async () =>
    (await kube().list("v1", "ConfigMap", namespace))
      .filter(({ metadata }) => metadata.labels?.["deployd/repository"])
      .map(({ metadata }) => [metadata.name, metadata.resourceVersion]);
  const applied = await versions();
  await succeedPod("deployd", "server", own);
  await seconds(soon, async () => expect(await state()).toEqual(known));
  expect(await versions()).toEqual(applied);
});

it("may read no Secret, and nothing in the platform's namespaces", async () => {
  const script = `
    const token = require("fs").readFileSync("/var/run/secrets/kubernetes.io/serviceaccount/token", "utf8");
    const ask = (path) => fetch("https://kubernetes.default.svc/api/v1/namespaces/" + path, { headers: { authorization: "Bearer " + token } });
    Promise.all(process.argv.slice(1).map(async (path) => (await ask(path)).status)).then((all) => console.log(all.join(" ")));
  `;
  const [pod = ""] = await podsOf("deployd", "server", own);
  await ready(pod, own);
  const paths = [
    `${namespace}/configmaps/kube-root-ca.crt`,
    `${namespace}/secrets`,
    `${own}/configmaps/deployd-config`,
    `${own}/secrets/deployd-webhook`,
    "kube-system/secrets",
    "kube-system/configmaps",
    "default/secrets",
  ];
  const command = [
    "env",
    "NODE_EXTRA_CA_CERTS=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
    "node",
    "-e",
    script,
    ...paths,
  ];
  expect((await runIn(pod, own, "deployd", command)).trim()).toBe("200 403 403 403 403 403 403");
});

it("exports metrics to Prometheus", async () => {
  const text = await (await fetch(`${url}/metrics`)).text();
  expect(text).toMatch(/deployd_rounds_total\{repository="shop\/web",result="ok"\} [1-9]/);
  expect(text).toMatch(/deployd_failing\{repository="shop\/pushed"\} 1/);
});

it("answers as its OpenAPI document says, to generated valid and invalid requests", async () => {
  const { all, exitCode } = await execa(
    await schemathesis(),
    ["run", `${url}/openapi.json`, ...checks, "--header", `Authorization: ${authorization}`],
    {
      // It writes files to its working directory.
      cwd: mkdtempSync(join(tmpdir(), "schemathesis-")),
      all: true,
      reject: false,
    },
  );
  expect(exitCode, all).toBe(0);
});

/** A fixed seed: the same requests in each run, so that a new failure is caused by a change. */
const checks = ["--max-examples", "20", "--generation-deterministic", "--workers", "1", "--no-color"];

/** The tool, in a virtual environment that is created once. */
async function schemathesis(): Promise<string> {
  const version = "4.32.5";
  const folder = join(cacheDir(), `schemathesis-${version}`);
  const program = join(folder, "bin/schemathesis");
  const done = join(folder, "installed");
  if (existsSync(done)) return program;
  rmSync(folder, { recursive: true, force: true });
  await execa("python3", ["-m", "venv", folder]);
  await execa(join(folder, "bin/pip"), ["install", "--quiet", `schemathesis==${version}`]);
  writeFileSync(done, "");
  return program;
}
