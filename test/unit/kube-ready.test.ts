// Proves when an object counts as ready, and the reason that is shown until then.
// Does not prove that controllers write such a status: the cluster tests do.
import { expect, test } from "vitest";
import type { Live } from "../../kube/client.ts";
import { hide, troubleOf } from "../../kube/diagnose.ts";
import { readiness } from "../../kube/ready.ts";

const live = (kind: string, status: object, spec: object = {}, metadata: object = {}) =>
  ({ apiVersion: "v1", kind, metadata: { name: "x", generation: 2, ...metadata }, spec, status }) as unknown as Live;

const up = { observedGeneration: 2, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2 };

test.each([
  [
    "an outdated observedGeneration",
    { ...up, observedGeneration: 1 },
    "waiting for the controller (observedGeneration is behind)",
  ],
  ["too few ready", { ...up, readyReplicas: 1 }, "1 of 2 pods are ready"],
  ["ready but not for long enough", { ...up, availableReplicas: 0 }, "0 of 2 pods are ready"],
  ["old pods among the ready", { ...up, updatedReplicas: 1 }, "1 of 2 pods are of the new version"],
  ["old pods that are still there", { ...up, replicas: 3 }, "1 old pods are stopping"],
])("a StatefulSet is not ready with %s", (_what, status, why) => {
  expect(readiness(live("StatefulSet", status, { replicas: 2 }))).toEqual({ state: "waiting", why });
});

test("a StatefulSet is ready if every pod is ready and of its revision, also if it has had only one", () => {
  expect(readiness(live("StatefulSet", up, { replicas: 2 }))).toEqual({ state: "ready" });
  const { updatedReplicas: _, ...one } = up;
  const status = { ...one, currentReplicas: 2, currentRevision: "a", updateRevision: "a" };
  expect(readiness(live("StatefulSet", status, { replicas: 2 }))).toEqual({ state: "ready" });
});

test("a Job is ready if complete, and failed if failed", () => {
  expect(readiness(live("Job", { conditions: [{ type: "Complete", status: "True" }] }))).toEqual({ state: "ready" });
  expect(readiness(live("Job", { active: 1 }))).toEqual({ state: "waiting", why: "running" });
  const conditions = [{ type: "Failed", status: "True", message: "too often" }];
  expect(readiness(live("Job", { conditions }))).toEqual({ state: "failed", why: "too often" });
});

test("a Cluster of CloudNativePG is ready if its operator reports it, and shows its phase until then", () => {
  const state = (status: object) => readiness(live("Cluster", status, { instances: 3 }));
  const phase = "Setting up primary";
  expect(state({})).toEqual({ state: "waiting", why: "waiting for the operator" });
  expect(state({ phase, conditions: [{ type: "Ready", status: "False" }] })).toEqual({ state: "waiting", why: phase });
  expect(state({ phase, phaseReason: "Creating primary instance x-1" })).toEqual({
    state: "waiting",
    why: "Creating primary instance x-1",
  });
  // The status before the operator has reconciled three instances.
  const conditions = [{ type: "Ready", status: "True" }];
  expect(state({ conditions, readyInstances: 1 })).toEqual({ state: "waiting", why: "1 of 3 servers are ready" });
  expect(state({ conditions, readyInstances: 3 })).toEqual({ state: "ready" });
});

test("a namespace is ready if active, and a PersistentVolumeClaim at once, since it may wait for its pod", () => {
  expect(readiness(live("Namespace", { phase: "Terminating" }))).toEqual({
    state: "waiting",
    why: "phase Terminating",
  });
  expect(readiness(live("PersistentVolumeClaim", { phase: "Pending" }))).toEqual({ state: "ready" });
});

test.each([
  ["waits to be started again", { waiting: { reason: "CrashLoopBackOff" } }, 3, "x/a: CrashLoopBackOff, restarted 3×"],
  ["has ended", { terminated: { reason: "OOMKilled", exitCode: 137 } }, 0, "x/a: OOMKilled (exit code 137)"],
  ["runs and is not ready", { running: {} }, 0, "x/a: running, not ready yet"],
])("reports a container that %s", (_what, state, restartCount, text) => {
  const containerStatuses = [{ name: "a", ready: false, restartCount, state }];
  expect(troubleOf(live("Pod", { phase: "Running", containerStatuses }))).toBe(text);
});

test("a finished init container is no problem, an unscheduled pod is", () => {
  const done = { name: "init", ready: false, restartCount: 0, state: { terminated: { exitCode: 0 } } };
  expect(troubleOf(live("Pod", { phase: "Running", initContainerStatuses: [done] }))).toBeUndefined();
  const conditions = [{ type: "PodScheduled", status: "False", message: "Insufficient cpu" }];
  expect(troubleOf(live("Pod", { phase: "Pending", conditions }))).toBe("x has no node: Insufficient cpu");
});

test("secrets are removed from text, ordinary words are not", () => {
  expect(hide("user admin password s3cr3ts3cr3t", ["s3cr3ts3cr3t", "admin"])).toBe("user admin password •••");
});
