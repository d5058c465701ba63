import type { Live } from "./client.ts";

/** How far an object has come. `failed` will not mend itself. */
export type Readiness = { state: "ready" } | { state: "waiting" | "failed"; why: string };

const ready: Readiness = { state: "ready" };
const waiting = (why: string): Readiness => ({ state: "waiting", why });

/** Whether an object is up, by the rules that Pulumi's Kubernetes provider waits by. */
export function readiness(live: Live): Readiness {
  const { spec = {}, status = {} } = live;
  const condition = (type: string) =>
    (status.conditions as { type: string; status: string; message?: string }[] | undefined)?.find(
      (one) => one.type === type && one.status === "True",
    );
  // What the controller says about an older version of the object says nothing about this one.
  const stale = (status.observedGeneration ?? 0) < (live.metadata.generation ?? 0);
  switch (live.kind) {
    case "Namespace":
      return status.phase === "Active" ? ready : waiting(`phase ${status.phase}`);
    case "StatefulSet":
    case "Deployment": {
      if (stale) return waiting("not looked at by its controller yet");
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
      if (stale) return waiting("not looked at by its controller yet");
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
    // CloudNativePG's. It says in words how far it has come, and nothing until its operator has seen the object; of an
    // older version of the object it does not say that it is one, but how many servers that has.
    case "Cluster": {
      if (!condition("Ready"))
        return waiting(status.phaseReason || status.phase || "not looked at by its operator yet");
      const [wanted, up] = [spec.instances ?? 1, status.readyInstances ?? 0];
      return up === wanted ? ready : waiting(`${up} of ${wanted} servers are ready`);
    }
    // A claim is bound when its pod is scheduled, which waits for the claim to exist.
    default:
      return ready;
  }
}
