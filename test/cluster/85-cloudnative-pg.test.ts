// Proves that polls and a second application run on CloudNativePG 1.30.0 under Pod Security `restricted`: votes survive
// a failover and updates fail no request.
// Does not prove the loss of a node, since all servers run on one, nor the chart, which takes Pulumi.
// Exercises: polls, postgresql, components/cloudnative-pg, components/django, apps/polls, charts, policy.
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
  fileOfParts,
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

/** A stack of its own with polls alone, beside the small one, which has its votes elsewhere. */
const stack = `${small.stack}3`;
const apps = `${stack}-apps`;
const file = (database: object = {}) =>
  fileOfParts({
    cloudnativePg: { enabled: true, operator: "existing" },
    polls: { database: "cloudnative-pg", databaseCluster: database },
  });
/** As the tests have it; `app` writes into it. */
const own = file();
const up = ["up", "--stack", stack, "--config-file"];

const operator = "cnpg-system";
/** What the project releases for `kubectl apply`: kinds, rights, webhooks and the operator, in this order. */
let released: KubeObject[] = [];

async function installOperator(): Promise<void> {
  const module = "github.com/cloudnative-pg/cloudnative-pg@v1.30.0";
  const { stdout } = await execa("go", ["mod", "download", "-json", module], { env: { GOWORK: "off" } });
  const text = readFileSync(join(JSON.parse(stdout).Dir, "releases", "cnpg-1.30.0.yaml"), "utf8");
  released = parseAllDocuments(text).map((document) => document.toJS() as KubeObject);
  for (const step of ensureImages([operatorImage])) if (!(await step.skip?.())) await step.run(() => {});
  for (const object of released) {
    // As the platform has its namespaces.
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

it("comes up with nothing else of the platform's, and the database is told among the parts", async () => {
  const said = await mustRun([...up, own]);
  expect(said).toMatch(/^polls-database +ready +10\.96\.\d+\.\d+:5432 +none$/m);
  visitor = new Visitor(await siteOf("polls", apps));
  await visitor.reached();
});

it("keeps what the platform's own pods keep: restricted, read-only, of a known version and size", async () => {
  const pods = (await podList([apps, operator])).filter(
    ({ metadata }) => "cnpg.io/cluster" in (metadata.labels ?? {}) || metadata.namespace === operator,
  ) as unknown as KubernetesObject[];
  expect(pods.map(({ metadata }) => metadata.name.replace(/-[0-9a-z]+-[0-9a-z]{5}$/, "")).sort()).toEqual([
    "cnpg-controller-manager",
    "polls-database-1",
  ]);
  for (const pod of pods.map((one) => ({ ...one, kind: "Pod" })))
    for (const rule of ["bounded", "pinned"])
      expect([pod.metadata.name, rule, rules[rule]!(pod)]).toEqual([pod.metadata.name, rule, []]);
  const database = pods.find(({ metadata }) => metadata.name === "polls-database-1")!;
  expect(rules.restricted!({ ...database, kind: "Pod" })).toEqual([]);
});

it("has migrated there, and takes a vote", async () => {
  const { password = "" } = await secret("polls-admin", apps);
  const admin = new Visitor(await siteOf("polls", apps));
  expect(await admin.login(password)).toBe(302);
  page = await admin.makeQuestion(question);
  expect(await visitor.voteForCoffee(page)).toBe(302);
  expect(await visitor.results(page)).toEqual({ Tea: 0, Coffee: 1 });
});

it("takes a vote from a browser, which sees the result", async ({ skip }) => {
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

it("is found by Prometheus: by its labels, and by a port that tells of the database", async () => {
  expect(await podsOf("polls-database", "postgresql", apps)).toEqual(["polls-database-1"]);
  const pod = (await get("Pod", "polls-database-1", apps))!;
  const { containerPort } = pod.spec.containers[0].ports.find(({ name }: { name: string }) => name === "metrics");
  const told = await (await fetch(`http://${pod.status!.podIP}:${containerPort}/metrics`)).text();
  expect(told).toMatch(/^cnpg_collector_up\{cluster="polls-database"\} 1$/m);
});

it("changes nothing when it is brought up again", async () => {
  expect(await mustRun([...up, own])).toMatch(unchanged);
});

it("keeps the vote when the web server's pod goes, and when the database's does", async () => {
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

  it("is created with servers of its own", async () => {
    await app("create", ...version("1.0.0"), "--database", "cloudnative-pg");
    expect(await podsOf(`django-${name}-database`, "postgresql", apps)).toEqual([`django-${name}-database-1`]);
    expect(await headingOf(await siteOf(`django-${name}`, apps))).toBe("Survey one");
  });

  it("is updated without one request that fails, and stays with them", async () => {
    writeFileSync(join(source, "patches", "0002-heading.patch"), heading("Survey one", "Survey two"));
    await noneFails(await siteOf(`django-${name}`, apps), ["Survey one", "Survey two"], async () => {
      await app("update", ...version("1.1.0"));
    });
  });

  it("is deleted, and they with it", async () => {
    expect(await app("delete")).toContain("survey is gone, and with it the database that CloudNativePG ran for it");
    // The operator's own objects follow the one that asked for them.
    const servers = () => podsOf(`django-${name}-database`, "postgresql", apps);
    await vi.waitFor(async () => expect(await servers()).toEqual([]), { timeout: 60_000, interval: 500 });
    await visitor.reached();
  });
});

it("has one of three servers take over when the one that leads is deleted, and no vote is lost", async () => {
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

it("refuses a smaller volume before anything changes, with the key to put back", async () => {
  const { exitCode, all } = await platform([...up, file({ storage: { size: "512Mi" } })]);
  expect(all).toContain(
    `stack ${stack}: polls.databaseCluster.storage.size: found 512Mi; expected at least 1Gi, the size of the volume that exists: volumes never shrink`,
  );
  expect(exitCode).toBe(2);
});

it("is destroyed with the stack, and all its volumes with it", async () => {
  const before = (await kube().list("v1", "PersistentVolumeClaim", apps)).map(({ spec }) => spec.volumeName as string);
  expect(before).toHaveLength(3);
  await mustRun(["destroy", "--stack", stack, "--config-file", own]);
  expect(await get("Namespace", apps)).toBeUndefined();
  const left = () =>
    Promise.all(before.map((name) => kube().get({ apiVersion: "v1", kind: "PersistentVolume", metadata: { name } })));
  await vi.waitFor(async () => expect((await left()).filter(Boolean)).toEqual([]), { timeout: 60_000, interval: 500 });
});
