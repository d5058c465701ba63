// Proves that docs/network-flows.md and the tables of docs/components.md and docs/secrets.md match the registry and the
// rendered stacks.
// Does not prove the rest of these pages.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { componentOf, registry } from "../../components/registry.ts";
import { componentsPage, secretsPage } from "../../scripts/component-tables.ts";
import { networkFlowsPage } from "../../scripts/network-flows.ts";
import { evaluated } from "./stacks.ts";

it("docs/components.md is what `npm run docs` writes", async () => {
  expect(readFileSync("docs/components.md", "utf8")).toBe(await componentsPage());
});

it("docs/secrets.md has the table that `npm run docs` writes", async () => {
  const page = readFileSync("docs/secrets.md", "utf8");
  expect(page).toBe(await secretsPage(page));
});

it("every object of a component is found under exactly one key of the registry", async () => {
  const { objects } = await evaluated("test", { changes: "monitoring: { enabled: true }" });
  const names = [...new Set(objects.flatMap(({ metadata }) => metadata.labels?.["app.kubernetes.io/name"] ?? []))];
  expect(names.length).toBeGreaterThan(17);
  for (const name of names) {
    expect([name, componentOf(name)]).not.toEqual([name, undefined]);
    expect(Object.values(registry).filter((one) => one.names.test(name))).toHaveLength(1);
  }
});

it("docs/network-flows.md is what `npm run docs` writes", async () => {
  expect(readFileSync("docs/network-flows.md", "utf8")).toBe(await networkFlowsPage("test"));
});
