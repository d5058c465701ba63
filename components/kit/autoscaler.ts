import * as k8s from "@pulumi/kubernetes";
import { type Autoscale, usualCpu } from "../../config/autoscale.ts";
import type { Component } from "./component.ts";
import type { Connects } from "./network.ts";
import type { SecretKey } from "./secret.ts";

/** A queue of tasks, as KEDA counts them. */
export interface Queue extends Connects {
  /** KEDA's trigger that counts them. */
  trigger: "postgresql" | "redis";
  /** The trigger's metadata, for a number of tasks for each pod. Never a password. */
  metadata: (tasks: number) => Record<string, string>;
  /** The trigger's parameters that are in Secrets, of the component's namespace. */
  credentials: Record<string, SecretKey>;
}

interface AutoscalerArgs {
  /** Suffix of the Deployment's name. */
  suffix?: string;
  autoscale: Autoscale;
  queue?: Queue;
  target: k8s.apps.v1.Deployment;
}

/**
 * One pod at a time is taken away, so that the work of the others goes on, and only after five minutes with less load.
 */
const behavior = {
  scaleDown: {
    stabilizationWindowSeconds: 300,
    policies: [{ type: "Pods", value: 1, periodSeconds: 60 }],
  },
};

/** Lets the number of a Deployment's pods follow their load: their use of CPU, or the tasks of a queue. */
export function autoscaler(component: Component, { queue, ...args }: AutoscalerArgs): void {
  const { autoscale } = args;
  if (autoscale.queue === undefined) horizontalPodAutoscaler(component, args);
  else if (queue) scaledObject(component, { ...args, queue, tasks: autoscale.queue });
  else throw new Error(`${component.named(args.suffix)} has autoscale.queue, and no queue`);
}

function horizontalPodAutoscaler(
  component: Component,
  { suffix, autoscale: { min, max, cpu = usualCpu }, target }: Omit<AutoscalerArgs, "queue">,
): void {
  new k8s.autoscaling.v2.HorizontalPodAutoscaler(
    component.named(suffix),
    {
      metadata: component.metadata(suffix),
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: target.metadata.name },
        minReplicas: min,
        maxReplicas: max,
        metrics: [
          {
            type: "Resource",
            resource: { name: "cpu", target: { type: "Utilization", averageUtilization: cpu } },
          },
        ],
        behavior,
      },
    },
    component.child(),
  );
}

/** A ScaledObject of KEDA, which makes the HorizontalPodAutoscaler and gives it the number of tasks. */
function scaledObject(
  component: Component,
  {
    suffix,
    autoscale: { min, max, cpu },
    target,
    queue,
    tasks,
  }: Omit<AutoscalerArgs, "queue"> & { queue: Queue; tasks: number },
): void {
  const { network, global } = component.namespace;
  network.open({ server: queue.server, controller: global.networkPolicies.keda });
  const login = new k8s.apiextensions.CustomResource(
    component.named(suffix),
    {
      apiVersion: "keda.sh/v1alpha1",
      kind: "TriggerAuthentication",
      metadata: component.metadata(suffix),
      spec: {
        secretTargetRef: Object.entries(queue.credentials).map(([parameter, { secret, key }]) => ({
          parameter,
          name: secret,
          key,
        })),
      },
    },
    component.child(),
  );
  const byQueue = {
    type: queue.trigger,
    metadata: queue.metadata(tasks),
    authenticationRef: { name: login.metadata.name },
  };
  const byCpu = { type: "cpu", metricType: "Utilization", metadata: { value: String(cpu) } };
  new k8s.apiextensions.CustomResource(
    component.named(suffix),
    {
      apiVersion: "keda.sh/v1alpha1",
      kind: "ScaledObject",
      metadata: component.metadata(suffix),
      spec: {
        scaleTargetRef: { name: target.metadata.name },
        minReplicaCount: min,
        maxReplicaCount: max,
        pollingInterval: 15,
        advanced: { horizontalPodAutoscalerConfig: { behavior } },
        triggers: [byQueue, ...(cpu === undefined ? [] : [byCpu])],
      },
    },
    component.child(),
  );
}
