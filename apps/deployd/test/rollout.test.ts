// Proves what is applied, replaced, adopted and pruned in a namespace, and what is refused before anything is applied: with
// a real git server and a cluster in memory.
// Does not prove that a real API server accepts it, nor how it merges fields: the cluster tests do.

import { describe, expect, it } from "vitest";
import { configMap } from "./fake-cluster.ts";
import { changed, cluster, commit, make } from "./repository.ts";

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
