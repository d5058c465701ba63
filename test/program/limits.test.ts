// Proves that with a CPU limit on every component no container of any pod lacks one, as a ResourceQuota on CPU limits
// requires.
// Does not prove that a quota admits the pods: that takes a cluster.
import { expect, it } from "vitest";
import { stringify } from "yaml";
import { limitedAs } from "../../components/kit/pod.ts";
import { parseConfig } from "../../config/problems.ts";
import { containersOf, podOf } from "../../policy/rules/index.ts";
import { evaluated } from "./stacks.ts";

/** A CPU limit in each block of resources of a configuration, as changes to a stack file. */
function limited(block: unknown): unknown {
  if (block === null || typeof block !== "object" || Array.isArray(block)) return undefined;
  const changes = Object.entries(block).flatMap(([key, value]) => {
    const change = key === "resources" ? { limits: { cpu: "4" } } : limited(value);
    return change ? [[key, change]] : [];
  });
  return changes.length > 0 ? Object.fromEntries(changes) : undefined;
}

const everything = {
  monitoring: { enabled: true },
  webApp: { debug: true },
  noetl: { instances: { main: {}, old: { version: "0.1.38" } } },
  djangoApps: { shop: { image: "example.com/shop:1.0.0", application: "shop.wsgi", healthPath: "/" } },
};

it("every container has a CPU limit if every component has one", async () => {
  const config = parseConfig("test", everything);
  const changes = limited(config) as Record<string, object>;
  const both = Object.fromEntries(
    [...new Set([...Object.keys(everything), ...Object.keys(changes)])].map((key) => {
      const [own, more] = [everything[key as keyof typeof everything], changes[key]];
      return [key, merge(own, more)];
    }),
  );
  const { objects } = await evaluated("test", { changes: stringify(both) });
  const containers = objects.flatMap((object) => {
    const pod = podOf(object);
    const all = pod ? containersOf(pod.spec) : [];
    return all.map(({ name, resources }) => ({ name: `${object.kind} ${object.metadata.name} ${name}`, resources }));
  });
  expect(containers.length).toBeGreaterThan(40);
  expect(containers.filter(({ resources }) => !resources.limits.cpu).map(({ name }) => name)).toEqual([]);
});

it("a container beside a server requests no more CPU than the server's limit", () => {
  const own = { requests: { cpu: "50m", memory: "1Mi" }, limits: { memory: "1Mi" } };
  expect(limitedAs({ limits: {} }, own)).toEqual(own);
  expect(limitedAs({ limits: { cpu: "1" } }, own)).toEqual({ ...own, limits: { memory: "1Mi", cpu: "1" } });
  expect(limitedAs({ limits: { cpu: "20m" } }, own)).toEqual({
    requests: { cpu: "20m", memory: "1Mi" },
    limits: { cpu: "20m", memory: "1Mi" },
  });
});

function merge(a: unknown, b: unknown): unknown {
  if (a === undefined || b === undefined) return a ?? b;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  if (typeof left !== "object" || typeof right !== "object") return b;
  return Object.fromEntries(
    [...new Set([...Object.keys(left), ...Object.keys(right)])].map((key) => [key, merge(left[key], right[key])]),
  );
}
