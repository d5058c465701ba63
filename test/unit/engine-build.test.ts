// Proves how Pulumi's engine is found, and what it is built from.
// Does not prove that the build works: the cluster tests run it.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { firstOf, pulumiSteps } from "../../cli/engine.ts";
import { groups } from "../../local/engine/index.ts";
import { linesOf } from "../../local/go.ts";

describe("which pulumi", () => {
  const order = ["on PATH", "installed here before", "built here before", "can be installed", "can be built"];

  it.each(order.map((name, index) => [name, index] as const))(
    "%s, and no later one is looked for",
    async (name, index) => {
      const asked: string[] = [];
      const probes = order.map((one, place): [string, () => Promise<boolean>] => [
        one,
        async () => {
          asked.push(one);
          return place >= index;
        },
      ]);
      expect(await firstOf(probes)).toBe(name);
      expect(asked).toEqual(order.slice(0, index + 1));
    },
  );

  it("none, if no condition holds", async () => {
    expect(await firstOf([["on PATH", async () => false]])).toBeUndefined();
  });

  it.each([
    ["on PATH", []],
    ["installed here before", []],
    ["built here before", []],
    ["can be installed", ["Pulumi, kept in this machine's cache"]],
    ["can be built", ["Build pulumi", "Build Pulumi's Kubernetes provider"]],
  ] as const)("%s: %j to do", (found, titles) => {
    expect(pulumiSteps(found).map(({ title }) => title)).toEqual(titles);
  });
});

describe("what the engine is built from", () => {
  const goMod = (group: { dir: string }) => readFileSync(join(group.dir, "go.mod"), "utf8");

  it.each(Object.entries(groups))("%s: its module pins every package", (_, group) => {
    for (const pkg of Object.values(group.binaries))
      if (pkg.startsWith("./")) expect(readdirSync(join(group.dir, pkg))).toEqual(["main.go"]);
      else expect(goMod(group)).toMatch(new RegExp(`^tool ${pkg}$`, "m"));
  });

  it("stamps Pulumi with the version that is pinned", () => {
    const [, pinned] = /github\.com\/pulumi\/pulumi\/pkg\/v3 (v[\d.]+)/.exec(goMod(groups.pulumi)) ?? [];
    expect(groups.pulumi.stamp).toMatch(new RegExp(`\\.Version=${pinned}$`));
  });

  it("pins the same version of every shared package, except Pulumi's own", () => {
    const pins = (group: { dir: string }) => [...goMod(group).matchAll(/^\t(\S+) (v\S+)/gm)];
    const ofPulumi = new Map(pins(groups.pulumi).map(([, path = "", version]) => [path, version]));
    const others = pins(groups["kubernetes-provider"]).flatMap(([, path = "", version]) =>
      ofPulumi.has(path) && ofPulumi.get(path) !== version ? [path] : [],
    );
    expect(others).toEqual(["github.com/pulumi/pulumi/pkg/v3", "github.com/pulumi/pulumi/sdk/v3"]);
  });

  it("has the plugins that run from the checkout under the names that Pulumi looks for, and can be executed", () => {
    const names = ["pulumi-language-nodejs", "pulumi-resource-random"];
    expect(readdirSync("local/engine/bin").sort()).toEqual(names);
    for (const name of names) expect(statSync(`local/engine/bin/${name}`).mode & 0o111).toBe(0o111);
  });
});

it("keeps go's error messages, however much it compiled after them", () => {
  const said = "go: downloading a v1\na/b\n# a/c\nc.go:1:2: undefined: d\na/e\n";
  expect(linesOf(said)).toEqual(["# a/c", "c.go:1:2: undefined: d"]);
});
