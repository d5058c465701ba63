/** How Pulumi's engine is found, and what it is built from. The build itself runs in the cluster tests. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { firstOf, pulumiSteps } from "../../cli/pulumi.ts";
import { binaries } from "../../local/engine/index.ts";

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

  it("none, where nothing holds", async () => {
    expect(await firstOf([["on PATH", async () => false]])).toBeUndefined();
  });

  it.each([
    ["on PATH", []],
    ["installed here before", []],
    ["built here before", []],
    ["can be installed", ["Pulumi, kept in this machine's cache"]],
    ["can be built", ["Build Pulumi"]],
    [undefined, []],
  ] as const)("%s: %j to do", (found, titles) => {
    expect(pulumiSteps(found).map(({ title }) => title)).toEqual(titles);
  });
});

describe("what the engine is built from", () => {
  const goMod = readFileSync("local/engine/go/go.mod", "utf8");

  it("is pinned by its module", () => {
    for (const pkg of Object.values(binaries.binaries))
      if (pkg.startsWith("./")) expect(readdirSync(`local/engine/go/${pkg}`)).toEqual(["main.go"]);
      else expect(goMod).toMatch(new RegExp(`^tool ${pkg}$`, "m"));
  });

  it("is stamped with the version that is pinned", () => {
    const [, pinned] = /github\.com\/pulumi\/pulumi\/pkg\/v3 (v[\d.]+)/.exec(goMod) ?? [];
    expect(binaries.stamp).toMatch(new RegExp(`\\.Version=${pinned}$`));
  });

  it("has the plugins that run from the checkout under the names that Pulumi looks for, and can be executed", () => {
    const names = ["pulumi-language-nodejs", "pulumi-resource-random"];
    expect(readdirSync("local/engine/bin").sort()).toEqual(names);
    for (const name of names) expect(statSync(`local/engine/bin/${name}`).mode & 0o111).toBe(0o111);
  });
});
