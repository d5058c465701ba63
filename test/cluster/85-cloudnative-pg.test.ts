// Proves that polls and a second application run on CloudNativePG 1.30.0 under Pod Security `restricted`: votes survive
// a failover and updates fail no request.
// Does not prove the loss of a node, since all servers run on one, nor the chart, which takes Pulumi.
// Exercises: polls, postgresql, components/cloudnative-pg, components/django, apps/polls, apps/commands/django, charts, policy.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parseAllDocuments } from "yaml";
import { operatorImage } from "../../components/cloudnative-pg/schema.ts";
import { readiness } from "../../kube/ready.ts";
import { ensureImages } from "../../local/images/index.ts";
import { type KubernetesObject, rules } from "../../policy/rules/index.ts";
import type { KubeObject } from "../../render/manifests.ts";
import {
  fileOfComponents,
  get,
  kube,
  mustRun,
  platform,
  podList,
  podsOf,
  replacePod,
  secret,
  small,
  smallStack,
  succeedPod,
  unchanged,
} from "./kit.ts";
import { heading, headingOf, noneFails, surveySource } from "./survey.ts";
import { openBrowser, siteOf, Visitor, voteForTea } from "./visitor.ts";

/** A separate stack with only polls. The small stack keeps its votes in the platform's PostgreSQL. */
const stack = `${small.stack}3`;
const apps = `${stack}-apps`;
const file = (database: object = {}) =>
  fileOfComponents({
    cloudnativePg: { enabled: true, operator: "existing" },
    polls: { database: "cloudnative-pg", databaseCluster: database },
  });
/** A copy, since `app` writes to it. */
const own = file();
const up = ["up", "--stack", stack, "--config-file"];

const operator = "cnpg-system";
/** CloudNativePG's release manifest for `kubectl apply`: CRDs, RBAC, webhooks and the operator, in this order. */
let released: KubeObject[] = [];

async function installOperator(): Promise<void> {
  const module = "github.com/cloudnative-pg/cloudnative-pg@v1.30.0";
  const { stdout } = await execa("go", ["mod", "download", "-json", module], { env: { GOWORK: "off" } });
  const text = readFileSync(join(JSON.parse(stdout).Dir, "releases", "cnpg-1.30.0.yaml"), "utf8");
  released = parseAllDocuments(text).map((document) => document.toJS() as KubeObject);
  for (const step of ensureImages([operatorImage])) if (!(await step.skip?.())) await step.run(() => {});
  for (const object of released) {
    // With the labels of the platform's namespaces.
    if (object.kind === "Namespace")
      object.metadata.labels = { ...object.metadata.labels, "pod-security.kubernetes.io/enforce": "restricted" };
    await kube().apply(object);
  }
  const deployment = released.find(({ kind }) => kind === "Deployment")!;
  await vi.waitFor(async () => expect(readiness((await kube().get(deployment))!)).toEqual({ state: "ready" }), {
    timeout: 120_000,
    interval: 500,
  });
}

async function removeOperator(): Promise<void> {
  for (const object of [...released].reverse()) await kube().delete(object);
  await vi.waitFor(
    async () => {
      for (const object of released) expect(await kube().get(object)).toBeUndefined();
    },
    { timeout: 120_000, interval: 1_000 },
  );
}

const question = `Which database, ${Date.now()}?`;
let visitor: Visitor;
let page: string;

beforeAll(async () => {
  await smallStack();
  await installOperator();
});

afterAll(async () => {
  try {
    await mustRun(["destroy", "--stack", stack, "--config-file", own]);
  } finally {
    await removeOperator();
  }
});

it("comes up without other components, and `up` lists the database", async () => {
  const said = await mustRun([...up, own]);
  expect(said).toMatch(/^polls-database +ready +10\.96\.\d+\.\d+:5432 +none$/m);
  visitor = new Visitor(await siteOf("polls", apps));
  await visitor.reached();
});

it("meets the rules for the platform's own pods: restricted, read-only, pinned images, limits", async () => {
  const pods = (await podList([apps, operator])).filter(
    ({ metadata }) => "cnpg.io/cluster" in (metadata.labels ?? {}) || metadata.namespace === operator,
  ) as unknown as KubernetesObject[];
  expect(pods.map(({ metadata }) => metadata.name.replace(/-[0-9a-z]+-[0-9a-z]{5}$/, "")).sort()).toEqual([
    "cnpg-controller-manager",
    "polls-database-1",
  ]);
  // The operator is of its own release, which limits no disk.
  const disk = ["manager: no ephemeral-storage request", "manager: no ephemeral-storage limit"];
  for (const pod of pods.map((one) => ({ ...one, kind: "Pod" }))) {
    const { name, namespace } = pod.metadata;
    expect([name, rules.pinned!(pod)]).toEqual([name, []]);
    expect([name, rules.bounded!(pod)]).toEqual([name, namespace === operator ? disk : []]);
  }
  const database = pods.find(({ metadata }) => metadata.name === "polls-database-1")!;
  expect(rules.restricted!({ ...database, kind: "Pod" })).toEqual([]);
});

it("has run its migrations there, and accepts a vote", async () => {
  const { password = "" } = await secret("polls-admin", apps);
  const admin = new Visitor(await siteOf("polls", apps));
  expect(await admin.login(password)).toBe(302);
  page = await admin.makeQuestion(question);
  expect(await visitor.voteForCoffee(page)).toBe(302);
  expect(await visitor.results(page)).toEqual({ Tea: 0, Coffee: 1 });
});

it("accepts a vote from a browser, which shows the result", async ({ skip }) => {
  const browser = await openBrowser();
  if (!browser) return skip("no browser starts here");
  try {
    expect(await voteForTea(browser, (await siteOf("polls", apps)) + page)).toEqual({
      title: question,
      results: ["Tea: 1 vote", "Coffee: 1 vote"],
    });
  } finally {
    await browser.close();
  }
});

it("is found by Prometheus: by its labels and its metrics port", async () => {
  expect(await podsOf("polls-database", "postgresql", apps)).toEqual(["polls-database-1"]);
  const pod = (await get("Pod", "polls-database-1", apps))!;
  const { containerPort } = pod.spec.containers[0].ports.find(({ name }: { name: string }) => name === "metrics");
  const told = await (await fetch(`http://${pod.status!.podIP}:${containerPort}/metrics`)).text();
  expect(told).toMatch(/^cnpg_collector_up\{cluster="polls-database"\} 1$/m);
});

it("is not changed by a second `up`", async () => {
  expect(await mustRun([...up, own])).toMatch(unchanged);
});

it("keeps the vote when the pod of the web server or the database is deleted", async () => {
  const before = await visitor.results(page);
  expect(before).toMatchObject({ Coffee: 1 });
  await succeedPod("polls", "web", apps);
  await visitor.reached();
  expect(await visitor.results(page)).toEqual(before);
  await replacePod("polls-database-1", apps);
  await visitor.reached();
  expect(await visitor.results(page)).toEqual(before);
});

describe("an application from elsewhere", () => {
  const name = "survey";
  const source = surveySource();
  afterAll(() => rmSync(source, { recursive: true }));
  const app = (command: string, ...more: string[]) =>
    mustRun(["app", command, "--stack", stack, "--config-file", own, "--name", name, ...more]);
  const version = (number: string) => ["--path", source, "--version", number];

  it("is created with its own servers", async () => {
    await app("create", ...version("1.0.0"), "--database", "cloudnative-pg");
    expect(await podsOf(`django-${name}-database`, "postgresql", apps)).toEqual([`django-${name}-database-1`]);
    expect(await headingOf(await siteOf(`django-${name}`, apps))).toBe("Survey one");
  });

  it("is updated without a failed request, and keeps them", async () => {
    writeFileSync(join(source, "patches", "0002-heading.patch"), heading("Survey one", "Survey two"));
    await noneFails(await siteOf(`django-${name}`, apps), ["Survey one", "Survey two"], async () => {
      await app("update", ...version("1.1.0"));
    });
  });

  it("is deleted together with them", async () => {
    expect(await app("delete")).toContain("survey is gone, and with it the database that CloudNativePG ran for it");
    // The operator's objects are garbage-collected after their owner.
    const servers = () => podsOf(`django-${name}-database`, "postgresql", apps);
    await vi.waitFor(async () => expect(await servers()).toEqual([]), { timeout: 60_000, interval: 500 });
    await visitor.reached();
  });
});

it("fails over when the primary of three is deleted, without a lost vote", async () => {
  const cluster = { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster" };
  const servers = async () => {
    const { status } = (await kube().get({ ...cluster, metadata: { name: "polls-database", namespace: apps } }))!;
    return status as { currentPrimary: string; readyInstances: number };
  };
  await mustRun([...up, file({ instances: 3 })]);
  const { currentPrimary: first, readyInstances } = await servers();
  expect(readyInstances).toBe(3);

  const { Coffee = 0, ...others } = await visitor.results(page);
  expect(await new Visitor(await siteOf("polls", apps)).voteForCoffee(page)).toBe(302);
  const began = Date.now();
  await kube().delete({ apiVersion: "v1", kind: "Pod", metadata: { name: first, namespace: apps } });
  await vi.waitFor(async () => expect((await servers()).currentPrimary).not.toBe(first), {
    timeout: 120_000,
    interval: 250,
  });
  await visitor.reached();
  console.log(
    `another server took over, and polls was well, ${Math.round((Date.now() - began) / 1000)} s after the deletion`,
  );
  expect(await visitor.results(page)).toEqual({ ...others, Coffee: Coffee + 1 });
  expect(await visitor.voteForCoffee(page)).toBe(302);
  await vi.waitFor(async () => expect((await servers()).readyInstances).toBe(3), { timeout: 120_000, interval: 500 });
});

it("refuses a smaller volume before any change, and names the key", async () => {
  const { exitCode, all } = await platform([...up, file({ storage: { size: "512Mi" } })]);
  expect(all).toContain(
    `stack ${stack}: polls.databaseCluster.storage.size: found 512Mi; expected at least 1Gi, the size of the volume that exists: volumes never shrink`,
  );
  expect(exitCode).toBe(2);
});

it("is destroyed with the stack, with all its volumes", async () => {
  const before = (await kube().list("v1", "PersistentVolumeClaim", apps)).map(({ spec }) => spec.volumeName as string);
  expect(before).toHaveLength(3);
  await mustRun(["destroy", "--stack", stack, "--config-file", own]);
  expect(await get("Namespace", apps)).toBeUndefined();
  const left = () =>
    Promise.all(before.map((name) => kube().get({ apiVersion: "v1", kind: "PersistentVolume", metadata: { name } })));
  await vi.waitFor(async () => expect((await left()).filter(Boolean)).toEqual([]), { timeout: 60_000, interval: 500 });
});
