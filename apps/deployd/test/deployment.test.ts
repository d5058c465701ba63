// Proves what follows from what is found in a repository and in the cluster: with a real git server and a cluster in
// memory. That a real API server takes what is applied, the cluster tests prove.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { backoff, Deployment } from "../src/deployment.ts";
import { Fleet } from "../src/fleet.ts";
import { Git } from "../src/git.ts";
import { makeMetrics } from "../src/metrics.ts";
import { parseSettings } from "../src/settings.ts";
import { configMap, FakeCluster } from "./fake-cluster.ts";
import { GitServer } from "./git-server.ts";

let git: GitServer;
let work: string;
let cluster: FakeCluster;
/** A repository of its own for each test. */
let name = "";
let count = 0;

beforeAll(async () => {
  git = await GitServer.start();
  work = mkdtempSync(join(tmpdir(), "deployment-test-"));
});
afterAll(() => {
  git.stop();
  rmSync(work, { recursive: true });
});
beforeEach(() => {
  cluster = new FakeCluster();
  name = `team/app-${count++}`;
});

const tools = () => ({
  cluster,
  git: new Git(work),
  metrics: makeMetrics(),
  log: { info: () => {}, warn: () => {} },
  work,
});
const settings = (more = "", of = name) =>
  parseSettings(`repositories: [{ name: ${of}, url: "${git.url(of)}", namespace: apps ${more} }]`);
const make = (more = "") => new Deployment(settings(more)[0]!, tools());
/** As the fleet does when the settings have changed: a commit that failed is tried at once. */
const changed = (more: string) => {
  const deployment = make(more);
  deployment.trigger("look");
  return deployment;
};
const commit = (files: Record<string, string | null>) =>
  git.commit(
    name,
    Object.fromEntries(Object.entries(files).map(([file, text]) => [`deploy/manifests/${file}.yaml`, text])),
  );

describe("a commit", () => {
  it("is deployed, with the label that says whose its objects are", async () => {
    const first = await commit({ a: configMap("a", "1"), b: configMap("b", "1") });
    const deployment = make();
    expect(deployment.brief()).toMatchObject({ phase: "pending", commit: null, message: "Nothing is deployed yet" });
    await deployment.round();
    expect(cluster.names()).toEqual(["ConfigMap a", "ConfigMap b"]);
    expect(cluster.objects.get("ConfigMap a")).toMatchObject({
      metadata: { namespace: "apps", labels: { "deployd/repository": name.replace("/", ".") } },
      data: { value: "1" },
    });
    expect(await deployment.summary()).toMatchObject({
      phase: "ready",
      commit: first,
      head: first,
      error: null,
      drift: [],
    });
  });

  it("outside of the folder redeploys nothing", async () => {
    const first = await commit({ a: configMap("a", "1") });
    const deployment = make();
    await deployment.round();
    const head = await git.commit(name, { "README.md": "words" });
    await deployment.round();
    expect(cluster.done).toEqual(["apply ConfigMap a"]);
    expect(deployment.brief()).toMatchObject({ phase: "ready", commit: first, head });
  });

  it.each([
    ["is no YAML", "{ a: ", /^deploy\/manifests\/b\.yaml: /],
    ["is no object", "just: words", /without apiVersion and kind/],
    ["has no name", "{ apiVersion: v1, kind: ConfigMap, metadata: {} }", /a ConfigMap has no metadata\.name/],
    [
      "is in another namespace",
      configMap("b", "2", ", namespace: kube-system"),
      /found namespace kube-system; expected none, or apps/,
    ],
    ["is there twice", configMap("a", "2"), /^ConfigMap a is declared twice$/],
    ["is refused by the cluster", configMap("refused", "2"), /^ConfigMap refused: no$/],
  ])(
    "with a manifest that %s leaves all as it was, says so, and the next good one is deployed",
    async (_, broken, message) => {
      cluster.refused.set("ConfigMap refused", "no");
      const first = await commit({ a: configMap("a", "1") });
      const deployment = make(", prune: true");
      await deployment.round();
      const bad = await commit({ a: configMap("a", "2"), b: broken });
      await deployment.round();
      expect(cluster.objects.get("ConfigMap a")!.data).toEqual({ value: "1" });
      expect(deployment.brief()).toMatchObject({
        phase: "failed",
        commit: first,
        head: bad,
        error: { message: expect.stringMatching(message), commit: bad, retryAt: expect.any(String) },
      });
      const good = await commit({ a: configMap("a", "3"), b: null });
      await deployment.round();
      expect(cluster.objects.get("ConfigMap a")!.data).toEqual({ value: "3" });
      expect(deployment.brief()).toMatchObject({ phase: "ready", commit: good, error: null });
    },
  );

  it("that is broken is tried again later and later, and at once when someone asks", async () => {
    await commit({ a: "{ a: " });
    const deployment = make();
    const read = vi.spyOn(Git.prototype, "checkout");
    await deployment.round();
    await deployment.round();
    expect(read).toHaveBeenCalledTimes(1);
    deployment.trigger("look");
    await deployment.round();
    expect(read).toHaveBeenCalledTimes(2);
    expect([1, 2, 3, 20].map(backoff)).toEqual([2, 4, 8, 300]);
    vi.restoreAllMocks();
  });

  it("that empties the folder deletes nothing", async () => {
    await commit({ a: configMap("a", "1") });
    const deployment = make(", prune: true");
    await deployment.round();
    await commit({ a: "# nothing" });
    await deployment.round();
    expect(cluster.names()).toEqual(["ConfigMap a"]);
    expect(deployment.brief().error?.message).toBe("deploy/manifests declares no object");
  });
});

describe("an object", () => {
  it("that is declared no more stays, until pruning is asked for", async () => {
    await commit({ a: configMap("a", "1"), b: configMap("b", "1") });
    const deployment = make();
    await deployment.round();
    await commit({ b: null });
    await deployment.round();
    expect(cluster.names()).toEqual(["ConfigMap a", "ConfigMap b"]);
    expect((await deployment.summary()).objects).toContainEqual(
      expect.objectContaining({ name: "b", message: "no longer declared, and left since prune is off" }),
    );
    const pruning = make(", prune: true");
    await pruning.round();
    expect(cluster.names()).toEqual(["ConfigMap a"]);
  });

  it("whose label was taken away is pruned no more", async () => {
    await commit({ a: configMap("a", "1"), b: configMap("b", "1") });
    const deployment = make(", prune: true");
    await deployment.round();
    delete cluster.objects.get("ConfigMap b")!.metadata.labels;
    await commit({ b: null });
    await deployment.round();
    expect(cluster.names()).toEqual(["ConfigMap a", "ConfigMap b"]);
    expect((await deployment.summary()).objects.map(({ name }) => name)).toEqual(["a"]);
  });

  it.each([
    ["was not made by deployd", undefined],
    ["belongs to other/app", { "deployd/repository": "other.app" }],
    ["belongs to the platform", { "app.kubernetes.io/part-of": "data-platform" }],
  ])("that %s is left alone, and so is all else", async (whose, labels) => {
    const theirs = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "b", ...(labels && { labels }) },
      data: {},
    };
    cluster.objects.set("ConfigMap b", theirs);
    await commit({ a: configMap("a", "1"), b: configMap("b", "1") });
    const deployment = make();
    await deployment.round();
    expect(cluster.done).toEqual([]);
    expect(deployment.brief().error?.message).toContain(`ConfigMap b: exists and ${whose}`);
  });

  it("that was changed by hand is drift, which is repaired where that is asked for", async () => {
    await commit({ a: configMap("a", "1"), b: configMap("b", "1") });
    const deployment = make();
    await deployment.round();
    cluster.objects.get("ConfigMap a")!.data = { value: "by hand" };
    cluster.objects.delete("ConfigMap b");
    await deployment.round();
    expect(deployment.brief()).toMatchObject({
      phase: "drifted",
      drift: ["ConfigMap a: changed", "ConfigMap b: missing"],
    });
    const { changes } = (await deployment.diff())!;
    expect(changes.map(({ name, change }) => [name, change])).toEqual([
      ["a", "change"],
      ["b", "create"],
    ]);
    expect(changes[0]!.diff).toContain('-  value: by hand\n+  value: "1"');
    const repairing = make(", repairDrift: true");
    await repairing.round();
    expect(cluster.objects.get("ConfigMap a")!.data).toEqual({ value: "1" });
    expect(repairing.brief()).toMatchObject({ phase: "ready", drift: [] });
  });

  it("is set back when someone asks for a sync", async () => {
    await commit({ a: configMap("a", "1") });
    const deployment = make();
    await deployment.round();
    cluster.objects.get("ConfigMap a")!.data = { value: "by hand" };
    deployment.trigger("sync");
    await deployment.round();
    expect(cluster.objects.get("ConfigMap a")!.data).toEqual({ value: "1" });
  });
});

describe("a repository", () => {
  it.each(["feature/#12", "user@host", "v1+fix"])("is deployed from its branch %s", async (branch) => {
    await commit({ a: configMap("a", "1") });
    await git.branch(name, branch);
    await commit({ a: configMap("a", "2") });
    const deployment = make(`, branch: "${branch}"`);
    await deployment.round();
    expect(cluster.objects.get("ConfigMap a")?.data).toEqual({ value: "1" });
  });

  it("is deployed as a whole, but for hidden folders", async () => {
    await git.commit(name, {
      "a.yaml": configMap("a", "1"),
      "more/b.yml": configMap("b", "1"),
      ".github/workflows/test.yaml": "on: push",
    });
    const deployment = make(", path: .");
    await deployment.round();
    expect(deployment.brief()).toMatchObject({ phase: "ready", error: null });
    expect(cluster.names()).toEqual(["ConfigMap a", "ConfigMap b"]);
  });

  it("is there with two folders: each has its own record and objects, and one push reaches both", async () => {
    await git.commit(name, { "web/a.yaml": configMap("a", "1"), "jobs/b.yaml": configMap("b", "1") });
    const fleet = new Fleet(tools());
    const url = git.url(name);
    fleet.follow(
      parseSettings(
        `repositories: [{ name: ${name}, url: "${url}", namespace: apps, path: web, prune: true },
          { name: ${name}-jobs, url: "${url}", namespace: apps, path: jobs, prune: true }]`,
      ),
    );
    expect(fleet.of(name).map(({ settings }) => settings.path)).toEqual(["web", "jobs"]);
    for (const one of fleet.all()) await vi.waitFor(() => expect(one.brief().phase).toBe("ready"), 10_000);
    await fleet.stop();
    expect(cluster.names()).toEqual(["ConfigMap a", "ConfigMap b"]);
  });
});

describe("a job that Kubernetes deletes once it has finished", () => {
  const job = (image = "a") =>
    `{ apiVersion: batch/v1, kind: Job, metadata: { name: j }, spec: { ttlSecondsAfterFinished: 60, template: { spec: { containers: [{ image: ${image} }] } } } }`;
  const runs = () => cluster.done.filter((one) => one === "apply Job j").length;

  it("is not missing once it is gone, and does not run again until it is declared otherwise", async () => {
    await commit({ j: job(), a: configMap("a", "1") });
    const deployment = make(", repairDrift: true");
    await deployment.round();
    cluster.objects.delete("Job j");
    await deployment.round();
    expect(deployment.brief()).toMatchObject({ phase: "ready", drift: [] });
    expect((await deployment.summary()).objects).toContainEqual(
      expect.objectContaining({ kind: "Job", done: true, message: expect.stringContaining("finished") }),
    );
    expect((await deployment.diff())?.changes).toEqual([]);
    // Another object's drift, another object's commit, someone's sync, a restart.
    cluster.objects.delete("ConfigMap a");
    await deployment.round();
    await commit({ a: configMap("a", "2") });
    await deployment.round();
    deployment.trigger("sync");
    await deployment.round();
    await make(", repairDrift: true").round();
    expect(runs()).toBe(1);
    await commit({ j: job("b") });
    await deployment.round();
    expect(runs()).toBe(2);
  });

  it("runs where it did not before, though others were applied before it", async () => {
    cluster.refusedAtLast.set("Job j", "no");
    await commit({ j: job(), a: configMap("a", "1") });
    const deployment = make();
    await deployment.round();
    cluster.refusedAtLast.clear();
    deployment.trigger("look");
    await deployment.round();
    expect(runs()).toBe(1);
  });
});

describe("an object that cannot become what is declared", () => {
  const job = (annotation: string) =>
    `{ apiVersion: batch/v1, kind: Job, metadata: { name: j, annotations: { x: y ${annotation} } }, spec: { template: {} } }`;
  const replaced = `, deployd/replace: "true"`;

  it("blocks the commit with a short message that says what helps", async () => {
    await commit({ j: job("") });
    const deployment = make();
    await deployment.round();
    cluster.immutable.add("Job j");
    await commit({ j: job(", v: b") });
    await deployment.round();
    expect(deployment.brief().error?.message).toBe(
      'Job j: spec.template: field is immutable. The annotation deployd/replace: "true" has it deleted and made again',
    );
    expect((await deployment.diff())?.changes).toEqual([
      { kind: "Job", name: "j", change: "replace", diff: "spec.template: field is immutable" },
    ]);
  });

  it("is deleted and made again where an annotation asks for that", async () => {
    await commit({ j: job("") });
    const deployment = make();
    await deployment.round();
    cluster.immutable.add("Job j");
    await commit({ j: job(replaced) });
    await deployment.round();
    expect(deployment.brief()).toMatchObject({ phase: "ready", error: null });
    expect(cluster.done).toEqual(["apply Job j", "delete Job j", "apply Job j"]);
  });

  it("stays where the cluster would not take the new one", async () => {
    await commit({ j: job("") });
    const deployment = make();
    await deployment.round();
    cluster.immutable.add("Job j");
    cluster.refused.set("Job j-replaced", "no such field");
    await commit({ j: job(replaced) });
    await deployment.round();
    expect(deployment.brief().error?.message).toBe("Job j: no such field");
    expect(cluster.done).toEqual(["apply Job j"]);
  });

  const set = (more: string) =>
    `{ apiVersion: apps/v1, kind: StatefulSet, metadata: { name: s, annotations: { x: y ${replaced} } }, spec: { ${more} } }`;

  it("keeps its pods and claims, as a StatefulSet that finds the same pods", async () => {
    await commit({ s: set("selector: { matchLabels: { a: b } }, replicas: 1") });
    const deployment = make();
    await deployment.round();
    cluster.immutable.add("StatefulSet s");
    await commit({ s: set("selector: { matchLabels: { a: b } }, replicas: 2") });
    await deployment.round();
    expect(cluster.done).toEqual(["apply StatefulSet s", "orphan StatefulSet s", "apply StatefulSet s"]);
  });

  it("is not deleted where its claims would be, too", async () => {
    await commit({ s: set("persistentVolumeClaimRetentionPolicy: { whenDeleted: Delete }") });
    const deployment = make();
    await deployment.round();
    cluster.immutable.add("StatefulSet s");
    await commit({ s: set("replicas: 2") });
    await deployment.round();
    expect(deployment.brief().error?.message).toContain("its claims would be deleted with it");
    expect(cluster.done).toEqual(["apply StatefulSet s"]);
  });

  it("is never deleted if it is a claim", async () => {
    const claim = `{ apiVersion: v1, kind: PersistentVolumeClaim, metadata: { name: c, annotations: { x: y ${replaced} } } }`;
    await commit({ c: claim });
    const deployment = make();
    await deployment.round();
    cluster.immutable.add("PersistentVolumeClaim c");
    await commit({ c: claim.replace("x: y", "x: z") });
    await deployment.round();
    expect(deployment.brief().error?.message).toContain("A claim is never deleted to make it again");
    expect(cluster.names()).toEqual(["PersistentVolumeClaim c"]);
  });
});

describe("a commit that is partly applied", () => {
  it("says what was applied, also after a restart, until it is whole", async () => {
    const first = await commit({ a: configMap("a", "1") });
    const deployment = make();
    await deployment.round();
    cluster.refusedAtLast.set("ConfigMap c", "exceeded quota");
    const second = await commit({ b: configMap("b", "2"), c: configMap("c", "2") });
    await deployment.round();
    const said = {
      phase: "failed",
      commit: first,
      partial: { commit: second, applied: ["ConfigMap a", "ConfigMap b"] },
      message: `Commit ${first.slice(0, 10)} runs, but a part of commit ${second.slice(0, 10)} is applied: ConfigMap a, ConfigMap b. ConfigMap c: exceeded quota`,
    };
    expect(deployment.brief()).toMatchObject(said);
    const after = make();
    await after.round();
    expect(after.brief()).toMatchObject(said);
    cluster.refusedAtLast.clear();
    after.trigger("look");
    await after.round();
    expect(after.brief()).toMatchObject({ phase: "ready", partial: null });
  });

  it("is undone by the next commit, even one that declares what was deployed before", async () => {
    await commit({ a: configMap("a", "1") });
    const deployment = make();
    await deployment.round();
    cluster.refusedAtLast.set("ConfigMap c", "exceeded quota");
    await commit({ a: configMap("a", "2"), c: configMap("c", "2") });
    await deployment.round();
    expect(cluster.objects.get("ConfigMap a")!.data).toEqual({ value: "2" });
    await commit({ a: configMap("a", "1"), c: null });
    await deployment.round();
    expect(cluster.objects.get("ConfigMap a")!.data).toEqual({ value: "1" });
    expect(deployment.brief()).toMatchObject({ phase: "ready", partial: null });
  });

  it("is one of which a trial finds nothing: what it finds, it finds all of", async () => {
    cluster.refused.set("ConfigMap a", "no");
    cluster.refused.set("ConfigMap c", "not this one either");
    await commit({ a: configMap("a", "1"), b: configMap("b", "1"), c: configMap("c", "1") });
    const deployment = make();
    await deployment.round();
    expect(cluster.done).toEqual([]);
    expect(deployment.brief().error?.message).toBe("ConfigMap a: no; ConfigMap c: not this one either");
  });
});

describe("pruning", () => {
  it.each([
    ["deployd's", `deployd/prune: "false"`],
    ["Helm's", "helm.sh/resource-policy: keep"],
    ["Argo CD's", "argocd.argoproj.io/sync-options: 'Validate=false,Prune=false'"],
    ["Flux's", "kustomize.toolkit.fluxcd.io/prune: disabled"],
  ])("keeps what has %s annotation for that", async (_, annotation) => {
    await commit({ a: configMap("a", "1"), b: configMap("b", "1", `, annotations: { ${annotation} }`) });
    const deployment = make(", prune: true");
    await deployment.round();
    await commit({ b: null });
    await deployment.round();
    await deployment.round();
    expect(cluster.done).toEqual(["apply ConfigMap a", "apply ConfigMap b", "apply ConfigMap a"]);
    expect((await deployment.summary()).objects).toContainEqual(
      expect.objectContaining({ name: "b", message: "no longer declared, and kept since an annotation says so" }),
    );
    expect((await deployment.diff())?.changes).toEqual([]);
  });
});

describe("an object that someone made by hand", () => {
  it("becomes the repository's where the configuration says so", async () => {
    cluster.objects.set("ConfigMap a", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } });
    await commit({ a: configMap("a", "1") });
    const refused = make();
    await refused.round();
    expect(refused.brief().error?.message).toBe(
      "ConfigMap a: exists and was not made by deployd: rename it, or add ConfigMap/a to adopt in deployd's configuration",
    );
    await changed(", adopt: [ConfigMap/a]").round();
    await changed(", adopt: [ConfigMap/a]").round();
    expect(cluster.done).toEqual(["adopt ConfigMap a", "apply ConfigMap a"]);
  });

  it.each([
    ["the platform's", { "app.kubernetes.io/part-of": "data-platform" }],
    ["another repository's", { "deployd/repository": "other.app" }],
  ])("does not where it is %s", async (_, labels) => {
    cluster.objects.set("ConfigMap a", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", labels } });
    await commit({ a: configMap("a", "1") });
    await make(", adopt: [ConfigMap/a]").round();
    expect(cluster.done).toEqual([]);
  });
});

describe("objects that deployd may not deploy", () => {
  const role = (name: string) =>
    `{ apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: { name: "${name}" } }`;

  it("are all named, and what helps", async () => {
    cluster.unsupported.add("Role");
    await commit({ a: configMap("a", "1"), r: `${role("r")}\n---\n${role("system:s")}` });
    const deployment = make();
    await deployment.round();
    expect(deployment.brief().error?.message).toBe(
      "Role r: deployd has no right to get Role; Role system:s: deployd has no right to get Role; skipUnsupported: true deploys the rest",
    );
    expect(cluster.done).toEqual([]);
  });

  it("are left out where the configuration says so, and never pruned for that", async () => {
    await commit({ a: configMap("a", "1"), r: role("r") });
    await make(", prune: true").round();
    cluster.unsupported.add("Role");
    await commit({ a: configMap("a", "2") });
    const deployment = make(", prune: true, skipUnsupported: true");
    await deployment.round();
    expect(deployment.brief()).toMatchObject({
      phase: "ready",
      drift: [],
      skipped: ["Role r: deployd has no right to get Role"],
    });
    expect(cluster.done).toEqual(["apply ConfigMap a", "apply Role r", "apply ConfigMap a"]);
  });

  it("are looked at again by a sync", async () => {
    cluster.unsupported.add("Role");
    await commit({ a: configMap("a", "1"), r: role("r") });
    const deployment = make(", skipUnsupported: true");
    await deployment.round();
    cluster.unsupported.clear();
    deployment.trigger("sync");
    await deployment.round();
    expect(deployment.brief().skipped).toEqual([]);
    expect(cluster.names()).toEqual(["ConfigMap a", "Role r"]);
  });
});

it("takes an object of another namespace into its own where the configuration says so", async () => {
  await commit({ a: configMap("a", "1", ", namespace: dev") });
  const refused = make();
  await refused.round();
  expect(refused.brief().error?.message).toBe(
    "ConfigMap a: found namespace dev; expected none, or apps; overrideNamespace: true deploys it there all the same",
  );
  await changed(", overrideNamespace: true").round();
  expect(cluster.objects.get("ConfigMap a")?.metadata.namespace).toBe("apps");
});

describe("a record", () => {
  const victim = "team/victim";
  const record = `deployd-record-${createHash("sha256").update(victim).digest("hex").slice(0, 10)}`;
  const forged = (labels: Record<string, string>) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: record, labels },
    data: { record: '{"commit":"0","digest":"0"}' },
  });

  it("cannot be declared by a repository", async () => {
    await commit({ a: configMap(record, "1") });
    const deployment = make();
    await deployment.round();
    expect(deployment.brief().error?.message).toContain(`ConfigMap ${record}: the name deployd and names that begin`);
    expect(cluster.done).toEqual([]);
  });

  it.each([
    ["has another's label", { "deployd/record-of": "team.other" }],
    ["has no label", {}],
    ["was declared by a repository", { "deployd/record-of": "team.victim", "deployd/repository": "team.attacker" }],
  ])("is not believed where it %s", async (_, labels) => {
    await git.commit(victim, { "deploy/manifests/a.yaml": configMap("a", String(Math.random())) });
    cluster.objects.set(`ConfigMap ${record}`, forged(labels as Record<string, string>));
    const deployment = new Deployment(settings("", victim)[0]!, tools());
    await deployment.round();
    expect(deployment.brief()).toMatchObject({ phase: "failed", commit: null });
    expect(deployment.brief().error?.message).toContain("is not deployd's record of this repository");
  });
});

describe("a restart", () => {
  it("applies nothing again, and knows what was deployed and what is left", async () => {
    const first = await commit({ a: configMap("a", "1"), b: configMap("b", "1") });
    await make().round();
    await commit({ b: null });
    const before = make();
    await before.round();
    const done = [...cluster.done];
    const after = make();
    await after.round();
    expect(cluster.done).toEqual(done);
    const { commit: deployed, deployedAt, objects } = await after.summary();
    expect(deployed).not.toBe(first);
    expect({ deployed, deployedAt, objects }).toEqual({
      deployed: before.brief().commit,
      deployedAt: before.brief().deployedAt,
      objects: (await before.summary()).objects,
    });
  });

  it("still shows the last error, where git does not answer either", async () => {
    await commit({ a: configMap("a", "1") });
    await make().round();
    await commit({ a: "{ a: " });
    const before = make();
    await before.round();
    let fail: (error: Error) => void = () => {};
    const head = () =>
      new Promise<string>((_, reject) => {
        fail = reject;
      });
    const after = new Deployment(settings()[0]!, {
      ...tools(),
      git: { head, checkout: async () => Promise.reject(new Error("away")) },
    });
    const said = before.brief().error!.message;
    const round = after.round();
    await vi.waitFor(() => expect(after.brief().error?.message).toBe(said), 10_000);
    fail(new Error("away"));
    await round;
    expect(after.brief().error?.message).toBe("away");
  });

  it("waits with a commit that has failed, and longer each time", async () => {
    const bad = await commit({ a: "{ a: " });
    const before = make();
    for (const _ of [1, 2, 3]) {
      before.trigger("look");
      await before.round();
    }
    const read = vi.spyOn(Git.prototype, "checkout");
    const after = make();
    await after.round();
    expect(read).not.toHaveBeenCalled();
    const { error } = after.brief();
    expect(error).toEqual({ ...before.brief().error, commit: bad });
    expect(Date.parse(error?.retryAt ?? "") - Date.parse(error?.at ?? "")).toBe(backoff(3) * 1000);
    await commit({ a: configMap("a", "1") });
    await after.round();
    expect(after.brief()).toMatchObject({ phase: "ready", error: null });
    vi.restoreAllMocks();
  });

  it.each(["killed", "stopped"])("while a commit is read, when deployd was %s", async (how) => {
    const bad = await commit({ a: configMap("a", "1") });
    const checkout = vi.fn(
      (_: unknown, __: string, signal: AbortSignal) =>
        new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(new Error("given up")))),
    );
    const before = new Deployment(settings()[0]!, { ...tools(), git: { head: async () => bad, checkout } });
    const round = before.round();
    await vi.waitFor(() => expect(checkout).toHaveBeenCalled(), 10_000);
    if (how === "stopped") await Promise.all([before.stop(), round]);
    const after = make();
    await after.round();
    const killed = {
      phase: "failed",
      error: { commit: bad, message: expect.stringMatching(/^deployd ended while it read commit [0-9a-f]{10}: /) },
    };
    expect(after.brief()).toMatchObject(how === "killed" ? killed : { phase: "ready", error: null });
  });

  it("in the middle of an application goes on with it", async () => {
    await commit({ a: configMap("a", "1") });
    await make().round();
    await commit({ a: configMap("a", "2"), b: configMap("b", "2") });
    const apply = cluster.apply.bind(cluster);
    cluster.apply = async (object, namespace, dryRun) => {
      if (object.metadata.name === "b" && !dryRun) throw new Error("killed");
      return apply(object, namespace, dryRun);
    };
    await make().round();
    expect(cluster.names()).toEqual(["ConfigMap a"]);
    cluster.apply = apply;
    const after = make();
    after.trigger("look");
    await after.round();
    expect(cluster.names()).toEqual(["ConfigMap a", "ConfigMap b"]);
  });
});

describe("several repositories", () => {
  it("do not wait for one that hangs; and one that is taken out ends, and leaves its objects", async () => {
    const other = `${name}-hanging`;
    await commit({ a: configMap("a", "1") });
    git.hanging.add(other);
    const fleet = new Fleet(tools());
    fleet.follow([...settings("", other), ...settings(", interval: 5")]);
    await vi.waitFor(() => expect(fleet.get(name)!.brief().phase).toBe("ready"), 10_000);
    expect(fleet.get(other)!.brief().phase).toBe("pending");
    fleet.follow(settings(", interval: 5"));
    expect(fleet.all().map(({ settings }) => settings.name)).toEqual([name]);
    expect(fleet.get(other)).toBeUndefined();
    await commit({ a: configMap("a", "2") });
    fleet.get(name.toUpperCase())!.trigger("look");
    await vi.waitFor(() => expect(cluster.objects.get("ConfigMap a")!.data).toEqual({ value: "2" }), 10_000);
    fleet.follow([]);
    expect(cluster.names()).toEqual(["ConfigMap a"]);
    await fleet.stop();
  });

  it("go on beside one that takes more memory than it may", async () => {
    const other = `${name}-hungry`;
    await commit({ a: configMap("a", "1") });
    await git.commit(other, { "deploy/manifests/a.yaml": "- a\n".repeat(262_144) });
    const fleet = new Fleet(tools());
    fleet.follow([...settings("", other), ...settings()]);
    await vi.waitFor(() => expect(fleet.get(other)?.brief().phase).toBe("failed"), 60_000);
    await vi.waitFor(() => expect(fleet.get(name)?.brief().phase).toBe("ready"), 60_000);
    expect(fleet.get(other)?.brief().error?.message).toBe(
      "reading deploy/manifests/a.yaml needs more than 80 MiB of memory",
    );
    await fleet.stop();
  }, 120_000);
});
