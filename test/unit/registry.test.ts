// Proves that the registry is consistent and matches the folders. The compiler proves that every component is wired in
// order.
// Does not prove how components work together: the program tests do.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Definition } from "../../components/kit/definition.ts";
import { registry } from "../../components/registry.ts";
import { parseConfig } from "../../config/problems.ts";

const components = Object.entries<Definition>(registry);
const keys = Object.keys(registry);

describe.each(components)("%s", (key, { folder, page, needs, uses, namespace }) => {
  it("has a folder and a page", () => {
    expect(existsSync(`components/${folder}/schema.ts`)).toBe(true);
    expect(existsSync(`components/${folder}/index.ts`) || folder === "monitoring").toBe(true);
    expect(existsSync(`docs/${page}`)).toBe(true);
  });

  it("needs and uses components of the registry, and comes after those that it needs", () => {
    for (const need of Object.keys(needs)) {
      expect(keys).toContain(need);
      expect(keys.indexOf(need)).toBeLessThan(keys.indexOf(key));
    }
    for (const use of uses) expect(keys).toContain(use);
    expect(uses.filter((use) => use in needs)).toEqual([]);
  });

  it("is in a namespace that a stack can name", () => {
    expect(Object.keys(parseConfig("unit", {}).namespaces)).toContain(namespace);
  });

  it.each(Object.entries(needs))("is refused without %s", (need, reason) => {
    const without = () => parseConfig("unit", { [need]: { enabled: false }, [key]: { enabled: true } });
    expect(without).toThrow(
      `stack unit: ${key}.enabled: found true; expected ${need}.enabled: true beside it, since ${reason}; or ${key}.enabled: false`,
    );
  });
});

it("has every folder of a component", () => {
  const folders = readdirSync("components", { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(`components/${entry.name}/schema.ts`))
    .map(({ name }) => name);
  expect(folders.sort()).toEqual([...new Set(components.map(([, { folder }]) => folder))].sort());
});

it("loads without Pulumi", () => {
  const script = `
    await import("./config/schema.ts");
    const { default: { _cache } } = await import("node:module");
    console.log(Object.keys(_cache).filter((path) => path.includes("@pulumi")).length);`;
  const loaded = execFileSync("node_modules/.bin/tsx", ["--input-type=module", "--eval", script], { encoding: "utf8" });
  expect(loaded.trim()).toBe("0");
});
