import type { Live } from "./client.ts";

/** The readiness of an object. `failed` is final. */
export type Readiness = { state: "ready" } | { state: "waiting" | "failed"; why: string };

const ready: Readiness = { state: "ready" };
const unobserved = "waiting for the controller (observedGeneration is behind)";
const waiting = (why: string): Readiness => ({ state: "waiting", why });

/** Whether an object is ready, by the rules of Pulumi's Kubernetes provider. */
export function readiness(live: Live): Readiness {
  const { spec = {}, status = {} } = live;
  const condition = (type: string) =>
    (status.conditions as { type: string; status: string; message?: string }[] | undefined)?.find(
      (one) => one.type === type && one.status === "True",
    );
  // The status is of an older generation of the object.
  const stale = (status.observedGeneration ?? 0) < (live.metadata.generation ?? 0);
  switch (live.kind) {
    case "Namespace":
      return status.phase === "Active" ? ready : waiting(`phase ${status.phase}`);
    case "StatefulSet":
    case "Deployment": {
      if (stale) return waiting(unobserved);
      const wanted = spec.replicas ?? 1;
      // A StatefulSet counts no updated replicas when all of them are of the one revision it has.
      const updated =
        status.updatedReplicas ?? (status.currentRevision === status.updateRevision ? status.currentReplicas : 0) ?? 0;
      if (updated < wanted) return waiting(`${updated} of ${wanted} pods are of the new version`);
      if ((status.replicas ?? 0) > wanted) return waiting(`${status.replicas - wanted} old pods are stopping`);
      const up = Math.min(status.readyReplicas ?? 0, status.availableReplicas ?? 0);
      return up < wanted ? waiting(`${up} of ${wanted} pods are ready`) : ready;
    }
    case "DaemonSet": {
      if (stale) return waiting(unobserved);
      const wanted = status.desiredNumberScheduled ?? 0;
      const up = Math.min(status.updatedNumberScheduled ?? 0, status.numberAvailable ?? 0);
      return up < wanted ? waiting(`${up} of ${wanted} pods are ready`) : ready;
    }
    case "Job": {
      const failed = condition("Failed");
      if (failed) return { state: "failed", why: failed.message ?? "failed" };
      return condition("Complete") ? ready : waiting(status.active ? "running" : "not started");
    }
    case "CustomResourceDefinition":
      return condition("Established") ? ready : waiting("not established");
    // CloudNativePG's. The status has no phase before the operator's first reconciliation. It has no
    // observedGeneration: the number of ready instances shows that it is of an older generation.
    case "Cluster": {
      if (!condition("Ready")) return waiting(status.phaseReason || status.phase || "waiting for the operator");
      const [wanted, up] = [spec.instances ?? 1, status.readyInstances ?? 0];
      return up === wanted ? ready : waiting(`${up} of ${wanted} servers are ready`);
    }
    // Also a claim: it is bound only when its pod is scheduled, after the claim exists.
    default:
      return ready;
  }
}
