import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Part } from "./part.ts";
import { type Pod, pod } from "./pod.ts";

/** A Deployment of one component of a part. With more than one pod, they go one at a time. */
export function deployment<V extends string>(
  part: Part,
  spec: {
    /** Its name is the part's and this, `trino-worker`; or the part's alone where it has no other. */
    piece?: string;
    replicas: number;
    /**
     * What an upgrade does. `surge`: the new pod comes before the old one goes, so that somebody answers all the time.
     * `recreate`: every old pod has gone before a new one comes, which is for a pod with a volume. Default: one pod
     * after the other goes and is replaced, since a small cluster has no room for two of a large one.
     */
    upgrade?: "surge" | "recreate";
    pod: Pod<V> & { component: string };
    dependsOn?: pulumi.Resource[];
  },
): k8s.apps.v1.Deployment {
  const { component } = spec.pod;
  if (spec.replicas > 1) disruptionBudget(part, { piece: spec.piece, component });
  return new k8s.apps.v1.Deployment(
    part.named(spec.piece),
    {
      metadata: part.metadata(spec.piece, component),
      spec: {
        replicas: spec.replicas,
        selector: { matchLabels: part.selector(component) },
        strategy: strategies[spec.upgrade ?? "replace"],
        template: pod<string>(part, spec.pod),
      },
    },
    part.child({ dependsOn: spec.dependsOn ?? [] }),
  );
}

/** Whoever empties a node takes one pod of the component at a time. */
export function disruptionBudget(part: Part, of: { piece?: string; component?: string }): void {
  new k8s.policy.v1.PodDisruptionBudget(
    part.named(of.piece),
    {
      metadata: part.metadata(of.piece),
      spec: { maxUnavailable: 1, selector: { matchLabels: part.selector(of.component) } },
    },
    part.child(),
  );
}

const strategies = {
  replace: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
  surge: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
  recreate: { type: "Recreate" },
};
