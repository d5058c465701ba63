/** What counts as a change, and what cannot be one. That the API server agrees is the cluster tests' to prove. */
import { expect, test } from "vitest";
import { canReplace, changedPaths, fixedChange, resized, shrinks } from "../../engine/compare.ts";
import type { Live } from "../../kube/client.ts";
import type { KubeObject } from "../../render/manifests.ts";

const of = (kind: string, fields: Record<string, unknown>, metadata = {}): KubeObject => ({
  apiVersion: "v1",
  kind,
  metadata: { name: "x", namespace: "dev", ...metadata },
  ...fields,
});

test("the server's bookkeeping and the status are no change", () => {
  const before = of("Service", { status: { a: 1 } }, { resourceVersion: "1", generation: 1, managedFields: [] });
  const after = of("Service", { status: { a: 2 } }, { resourceVersion: "2", generation: 2, managedFields: [{}] });
  expect(changedPaths(before, after)).toEqual([]);
});

test("a change is named by its path, items of lists by their name, keys with dots in brackets", () => {
  const containers = (image: string) => ({
    spec: {
      containers: [
        { name: "a", image: "1" },
        { name: "b", image },
      ],
    },
  });
  expect(changedPaths(of("Pod", containers("1")), of("Pod", containers("2")))).toEqual(["spec.containers[b].image"]);
  expect(changedPaths(of("ConfigMap", { data: { "a.conf": "1" } }), of("ConfigMap", { data: {} }))).toEqual([
    "data[a.conf]",
  ]);
  expect(changedPaths(of("X", { args: ["a"] }), of("X", { args: ["a", "b"] }))).toEqual(["args[1]"]);
});

test.each([
  ["StatefulSet", { spec: { serviceName: "a" } }, { spec: { serviceName: "b" } }, "spec.serviceName"],
  ["StatefulSet", { spec: { podManagementPolicy: "Parallel" } }, { spec: {} }, "spec.podManagementPolicy"],
  ["StatefulSet", { spec: { volumeClaimTemplates: [{}] } }, { spec: {} }, "spec.volumeClaimTemplates"],
  ["Deployment", { spec: { selector: { a: "1" } } }, { spec: { selector: { a: "2" } } }, "spec.selector"],
  ["Service", { spec: { clusterIP: "10.0.0.1" } }, { spec: { clusterIP: "None" } }, "spec.clusterIP"],
  ["RoleBinding", { roleRef: { name: "a" } }, { roleRef: { name: "b" } }, "roleRef"],
  ["Secret", { type: "Opaque" }, { type: "custom/x" }, "type"],
  ["Secret", { type: "custom/x" }, {}, "type"],
  ["Job", { spec: { template: { a: 1 } } }, { spec: { template: { a: 2 } } }, "spec.template"],
  [
    "PersistentVolumeClaim",
    { spec: { storageClassName: "a" } },
    { spec: { storageClassName: "b" } },
    "spec.storageClassName",
  ],
])("%s %j cannot become %j", (kind, live, desired, path) => {
  expect(fixedChange(of(kind, live), of(kind, desired))).toBe(path);
});

test.each([
  ["defaults that the server added", "StatefulSet", { spec: { podManagementPolicy: "OrderedReady" } }, { spec: {} }],
  ["an address that it chose", "Service", { spec: { clusterIP: "10.0.0.1" } }, { spec: {} }],
  ["a class that it chose", "PersistentVolumeClaim", { spec: { storageClassName: "local" } }, { spec: {} }],
  [
    "empty fields that it dropped",
    "Job",
    { spec: { template: { a: 1 } } },
    { spec: { template: { a: 1, env: "", volumes: [] } } },
  ],
])("%s are no change", (_what, kind, live, desired) => {
  expect(fixedChange(of(kind, live), of(kind, desired))).toBeUndefined();
});

test("only what holds no data is replaced", () => {
  expect(canReplace(of("StatefulSet", {}))).toBe(true);
  expect(canReplace(of("PersistentVolumeClaim", {}))).toBe(false);
  expect(canReplace(of("Namespace", {}))).toBe(false);
});

test("a smaller claim is told by its sizes, an equal or larger one is fine", () => {
  const claim = (storage: string) =>
    of("PersistentVolumeClaim", { spec: { resources: { requests: { storage } } } }) as Live;
  expect(shrinks(claim("1Gi"), claim("1023Mi"))).toBe(
    "found 1023Mi; expected at least 1Gi, the size of the volume that exists: volumes never shrink",
  );
  expect(shrinks(claim("1Gi"), claim("1024Mi"))).toBeUndefined();
  expect(shrinks(claim("1Gi"), claim("1Ti"))).toBeUndefined();
  const cluster = (size: string) => of("Cluster", { spec: { storage: { size } } }) as Live;
  expect(shrinks(cluster("2Gi"), cluster("1Gi"))).toMatch(/^found 1Gi; expected at least 2Gi/);
  expect(shrinks(cluster("1Gi"), cluster("2Gi"))).toBeUndefined();
});

test("a number of pods that is fixed is told by its key, unless none of them runs", () => {
  const set = (replicas: number, annotations?: Record<string, string>) => ({
    ...of("StatefulSet", { spec: { replicas } }),
    metadata: { name: "x", ...(annotations && { annotations }) },
  });
  const fixed = { "data-platform/fixed-replicas": "kafka.replicas" };
  expect(resized(set(1), set(3, fixed))).toBe(
    "kafka.replicas: found 3; expected 1, the number that exists: it is fixed when the volumes are first written to",
  );
  expect(resized(set(3), set(3, fixed))).toBeUndefined();
  expect(resized(set(0), set(3, fixed))).toBeUndefined();
  expect(resized(set(1), set(3))).toBeUndefined();
});
