// Proves what deployd knows after a restart, and that it trusts no record that it did not write itself.
// Does not prove that its pod restarts: the cluster tests do.
import { createHash } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { backoff, Deployment } from "../src/deployment.ts";
import { Git } from "../src/git.ts";
import { configMap } from "./fake-cluster.ts";
import { cluster, commit, git, make, settings, tools } from "./repository.ts";

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
