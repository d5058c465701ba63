import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Component } from "./component.ts";
import { type Pod, pod } from "./pod.ts";

/** A Deployment of one workload of a component. With more than one pod, they go one at a time. */
export function deployment<V extends string>(
  component: Component,
  spec: {
    /** Its name is the component's and this, `trino-worker`; or the component's alone where it has no other. */
    suffix?: string;
    replicas: number;
    /**
     * What an upgrade does. `surge`: the new pod comes before the old one goes, so that somebody answers all the time.
     * `recreate`: every old pod has gone before a new one comes, which is for a pod with a volume. Default: one pod
     * after the other goes and is replaced, since a small cluster has no room for two of a large one.
     */
    upgrade?: "surge" | "recreate";
    pod: Pod<V> & { role: string };
    dependsOn?: pulumi.Resource[];
  },
): k8s.apps.v1.Deployment {
  const { role } = spec.pod;
  if (spec.replicas > 1) disruptionBudget(component, { suffix: spec.suffix, role });
  return new k8s.apps.v1.Deployment(
    component.named(spec.suffix),
    {
      metadata: component.metadata(spec.suffix, role),
      spec: {
        replicas: spec.replicas,
        selector: { matchLabels: component.selector(role) },
        strategy: strategies[spec.upgrade ?? "replace"],
        template: pod<string>(component, spec.pod),
      },
    },
    component.child({ dependsOn: spec.dependsOn ?? [] }),
  );
}

/** Whoever empties a node takes one pod of the component at a time. */
export function disruptionBudget(component: Component, of: { suffix?: string; role?: string }): void {
  new k8s.policy.v1.PodDisruptionBudget(
    component.named(of.suffix),
    {
      metadata: component.metadata(of.suffix),
      spec: { maxUnavailable: 1, selector: { matchLabels: component.selector(of.role) } },
    },
    component.child(),
  );
}

const strategies = {
  replace: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
  surge: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
  recreate: { type: "Recreate" },
};
