import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Component } from "./component.ts";
import { type Pod, pod } from "./pod.ts";

export interface DeploymentArgs<V extends string> {
  /** Suffix of the Deployment's name, such as `worker` in `trino-worker`. Default: none, the component's name. */
  suffix?: string;
  replicas: number;
  /**
   * How an update replaces pods. `surge`: a new pod starts before an old one stops, so a server stays available.
   * `recreate`: all old pods stop before a new one starts, for a pod with a volume. Default: one pod at a time stops
   * and is replaced, because a small cluster has no room for an additional large pod.
   */
  upgrade?: "surge" | "recreate";
  pod: Pod<V> & { role: string };
  dependsOn?: pulumi.Resource[];
}

/** Creates a Deployment. With several replicas it has a PodDisruptionBudget. */
export function deployment<V extends string>(component: Component, spec: DeploymentArgs<V>): k8s.apps.v1.Deployment {
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

/** Creates a PodDisruptionBudget: a drain of nodes evicts one pod of the workload at a time. */
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
