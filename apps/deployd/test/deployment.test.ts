// Proves what follows from what is found in a repository and in the cluster: with a real git server and a cluster in
// memory. That a real API server takes what is applied, the cluster tests prove.
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
    expect(deployment.brief().error?.message).toContain(`ConfigMap b exists and ${whose}`);
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
    await vi.waitFor(() => expect(after.brief().error?.message).toBe(said));
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
    await vi.waitFor(() => expect(checkout).toHaveBeenCalled());
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
