// Proves that deployd and the command line agree on which objects are ready: deployd's image has its own copy of the
// rules.
// Does not prove that the rules match Kubernetes' own.
import { expect, it } from "vitest";
import { readiness as deployd } from "../../apps/deployd/src/objects.ts";
import { readiness as platform } from "../../kube/ready.ts";

const replicas = { observedGeneration: 2, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2 };
const { updatedReplicas: _, ...uncounted } = replicas;
const daemons = {
  observedGeneration: 2,
  desiredNumberScheduled: 2,
  numberReady: 2,
  numberAvailable: 2,
  updatedNumberScheduled: 2,
};
const condition = (type: string) => ({ conditions: [{ type, status: "True" }] });

const workloads: [string, object, boolean][] = [
  ["up", replicas, true],
  ["with a status of an older generation", { ...replicas, observedGeneration: 1 }, false],
  ["with too few ready", { ...replicas, readyReplicas: 1 }, false],
  ["ready, but not for minReadySeconds", { ...replicas, availableReplicas: 1 }, false],
  ["with a pod of the previous version", { ...replicas, updatedReplicas: 1 }, false],
  ["with a pod too many", { ...replicas, replicas: 3 }, false],
  ["without a status", {}, false],
];

it.each<[kind: string, what: string, status: object, ready: boolean]>([
  ...["Deployment", "StatefulSet"].flatMap((kind) =>
    workloads.map(([what, status, ready]): [string, string, object, boolean] => [kind, what, status, ready]),
  ),
  [
    "StatefulSet",
    "of one revision, without a count of updated pods",
    { ...uncounted, currentReplicas: 2, currentRevision: "a", updateRevision: "a" },
    true,
  ],
  ["StatefulSet", "of two", { ...uncounted, currentReplicas: 2, currentRevision: "a", updateRevision: "b" }, false],
  ["DaemonSet", "up", daemons, true],
  ["DaemonSet", "with one not available", { ...daemons, numberAvailable: 1 }, false],
  ["DaemonSet", "with one of the previous version", { ...daemons, updatedNumberScheduled: 1 }, false],
  ["Job", "complete", { succeeded: 1, ...condition("Complete") }, true],
  ["Job", "that succeeded once and is not complete", { succeeded: 1, active: 1 }, false],
  ["Job", "failed", { failed: 7, ...condition("Failed") }, false],
  ["PersistentVolumeClaim", "without a volume", { phase: "Pending" }, true],
  ["ConfigMap", "", {}, true],
])("a %s %s", (kind, _what, status, ready) => {
  const object = {
    apiVersion: "v1",
    kind,
    metadata: { name: "x", uid: "u", resourceVersion: "1", generation: 2 },
    spec: kind === "Job" ? {} : { replicas: 2 },
    status,
  };
  expect([deployd(object).done, platform(object).state === "ready"]).toEqual([ready, ready]);
});
