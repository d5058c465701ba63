// Proves which commit of a repository is deployed and when: with a real git server and a cluster in memory.
// Does not prove that a real API server accepts what is applied: the cluster tests do.

import { describe, expect, it, vi } from "vitest";
import { backoff } from "../src/deployment.ts";
import { Git } from "../src/git.ts";
import { configMap } from "./fake-cluster.ts";
import { changed, cluster, commit, git, make, name } from "./repository.ts";

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
