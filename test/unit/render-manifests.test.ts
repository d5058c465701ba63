// Proves the order and contents of a program's rendered objects.
// Does not prove that the order can be applied: the cluster tests do.
import { expect, test } from "vitest";
import { manifests } from "../../render/manifests.ts";
import { component, evaluation, object, password, urn } from "./engine-program.ts";

const keys = (...resources: Parameters<typeof evaluation>) => manifests(evaluation(...resources)).map(({ key }) => key);

test("an object comes after its dependencies, whatever their kinds", () => {
  const job = object("Job", "first");
  const config = object("ConfigMap", "later", {}, { dependencies: [job.urn] });
  expect(keys(config, job)).toEqual(["Job.batch dev/first", "ConfigMap dev/later"]);
});

test("every object comes after its namespace", () => {
  expect(keys(object("ConfigMap", "a"), object("Namespace", "dev"))).toEqual(["Namespace dev", "ConfigMap dev/a"]);
});

test("the order does not depend on that of registration", () => {
  const all = [
    object("Service", "b"),
    object("Service", "a"),
    object("Job", "z"),
    object("ConfigMap", "c", {}, { dependencies: [urn("Service-b")] }),
    object("Namespace", "dev"),
  ];
  const order = keys(...all);
  expect(order).toEqual(["Namespace dev", "Service dev/a", "Service dev/b", "ConfigMap dev/c", "Job.batch dev/z"]);
  expect(keys(...[...all].reverse())).toEqual(order);
});

test("a dependency on a component means all its children; one on a generated value, what that waits for", () => {
  const inner = component("inner", { parent: urn("outer") });
  const service = object("Service", "s", {}, { parent: inner.urn });
  const config = object("ConfigMap", "c");
  const generated = password("p", { dependencies: [config.urn] });
  const job = object("Job", "j", {}, { dependencies: [urn("outer"), generated.urn] });
  const found = manifests(evaluation(component("outer"), inner, service, config, generated, job));
  expect(found.find(({ key }) => key === "Job.batch dev/j")!.dependsOn).toEqual(["ConfigMap dev/c", "Service dev/s"]);
});

test("a child of the component that it depends on does not wait for itself", () => {
  const child = object("Service", "s", {}, { parent: urn("redis"), dependencies: [urn("redis")] });
  expect(manifests(evaluation(component("redis"), child))[0]!.dependsOn).toEqual([]);
});

test("annotations for engines are read and dropped, others stay", () => {
  const annotations = { "pulumi.com/skipAwait": "true", mine: "kept" };
  const [found] = manifests(evaluation(object("Service", "s", { metadata: { annotations } })));
  expect(found!.object.metadata.annotations).toEqual({ mine: "kept" });
  const [bare] = manifests(
    evaluation(object("Service", "s", { metadata: { annotations: { "pulumi.com/skipAwait": "true" } } })),
  );
  expect(bare!.object.metadata).not.toHaveProperty("annotations");
});

test("a field of someone else's object is not the object", () => {
  const patch = { ...object("ConfigMap", "theirs"), type: "kubernetes:core/v1:ConfigMapPatch" };
  expect(manifests(evaluation(patch))[0]!.patch).toBe(true);
});

test("providers, components and generated values are not objects", () => {
  const provider = { ...password("kubernetes"), type: "pulumi:providers:kubernetes" };
  expect(keys(component("redis"), password("p"), provider)).toEqual([]);
});

test("refuses objects without a name, duplicates and cycles", () => {
  const nameless = object("Service", "s");
  nameless.inputs = { ...nameless.inputs, metadata: { namespace: "dev" } };
  expect(() => keys(nameless)).toThrow("kubernetes:core/v1:Service s has no kind or no explicit metadata.name");
  expect(() => keys(object("Service", "s"), object("Service", "s"))).toThrow("the program makes Service dev/s twice");
  const a = object("Service", "a", {}, { dependencies: [urn("Service-b")] });
  const b = object("Service", "b", {}, { dependencies: [urn("Service-a")] });
  expect(() => keys(a, b)).toThrow("these objects wait for each other: Service dev/a, Service dev/b");
});
