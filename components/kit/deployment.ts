import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { type Autoscale, mostReplicas } from "../../config/autoscale.ts";
import { derived, whenever } from "../../config/derived.ts";
import { autoscaler, type Queue } from "./autoscaler.ts";
import type { Component } from "./component.ts";
import { countPods, gracePeriodOf, type Pod, pod } from "./pod.ts";
import { whileUpdating } from "./usage.ts";

export interface DeploymentArgs<V extends string> {
  /** Suffix of the Deployment's name, such as `worker` in `trino-worker`. Default: none, the component's name. */
  suffix?: string;
  replicas: number;
  /** Let an autoscaler choose the number of pods. Default: `replicas`. */
  autoscale?: Autoscale | undefined;
  /** The tasks that `autoscale.queue` counts. */
  queue?: Queue;
  /**
   * How an update replaces pods. `surge`: a new pod starts before an old one stops, so a server stays available.
   * `recreate`: all old pods stop before a new one starts, for a pod with a volume. Default: one pod at a time stops
   * and is replaced, because a small cluster has no room for an additional large pod.
   */
  upgrade?: "surge" | "recreate";
  /**
   * Whether pods wait for a Job, by an init container. Then they may take as long as the Job may before the Deployment
   * counts as failed. Default: false, ten minutes.
   */
  waitsForJob?: boolean;
  pod: Pod<V> & { role: string };
  dependsOn?: pulumi.Resource[];
}

/**
 * Creates a Deployment. With several replicas it has a PodDisruptionBudget. With an autoscaler its number of replicas is
 * not the program's: an update leaves it alone.
 */
export function deployment<V extends string>(component: Component, spec: DeploymentArgs<V>): k8s.apps.v1.Deployment {
  const { role } = spec.pod;
  whenever(several(mostReplicas(spec)), () => disruptionBudget(component, { suffix: spec.suffix, role }));
  countPods(component, () => whileUpdating(mostReplicas(spec), spec.upgrade), spec.pod);
  const made = new k8s.apps.v1.Deployment(
    component.named(spec.suffix),
    {
      metadata: component.metadata(spec.suffix, role),
      spec: {
        ...(!spec.autoscale && { replicas: spec.replicas }),
        selector: { matchLabels: component.selector(role) },
        strategy: strategies[spec.upgrade ?? "replace"],
        ...(spec.waitsForJob && {
          progressDeadlineSeconds: secondsAfter(component.namespace.global.jobDeadline, usualDeadline),
        }),
        template: pod<string>(component, spec.pod),
      },
    },
    component.child({
      dependsOn: spec.dependsOn ?? [],
      // Pulumi waits ten minutes by default, which is as long as a worker with tasks may need.
      customTimeouts: { delete: minutesAfter(gracePeriodOf(component, spec.pod)) },
    }),
  );
  if (spec.autoscale) autoscaler(component, { ...spec, autoscale: spec.autoscale, target: made });
  return made;
}

/** Kubernetes' own progress deadline of a Deployment, in seconds. */
const usualDeadline = 600;

/** `seconds` and `more`. */
export const secondsAfter = derived("secondsAfter", (seconds: number, more: number): number => seconds + more);

/** Whether a workload has more than one replica. */
export const several = derived("several", (replicas: number) => replicas > 1);

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

/** How long a deletion may take, so that pods that use their whole grace period do not fail it. At least ten minutes. */
const minutesAfter = derived("minutesAfter", (gracePeriod: number): string => `${Math.max(600, gracePeriod + 300)}s`);

const strategies = {
  replace: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
  surge: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
  recreate: { type: "Recreate" },
};
