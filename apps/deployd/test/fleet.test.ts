// Proves that repositories do not disturb each other: one that hangs, one that needs too much memory, two folders of one
// repository.
// Does not prove how many repositories fit into the pod's memory.

import { describe, expect, it, vi } from "vitest";
import { Fleet } from "../src/fleet.ts";
import { parseSettings } from "../src/settings.ts";
import { configMap } from "./fake-cluster.ts";
import { cluster, commit, git, name, settings, tools } from "./repository.ts";

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

  it("of one URL have their own records and objects, and one push reaches all of them", async () => {
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
