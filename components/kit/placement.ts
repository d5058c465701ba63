import type * as k8s from "@pulumi/kubernetes";
import { derived, derivedFields, itemsWhen } from "../../config/derived.ts";
import type { RolePods } from "../../config/pods.ts";
import type { Component } from "./component.ts";
import { priorityClass } from "./priority.ts";

type SpreadConstraint = k8s.types.input.core.v1.TopologySpreadConstraint;

/** Where the stack wants a pod to run, and with which priority. */
export const placement = ({ namespace: { stack, global } }: Component, of: RolePods) =>
  placementFields(of, stack, global.priorityClasses);

const placementFields = derivedFields("placementFields", (of: RolePods, stack: string, priorityClasses: boolean) => {
  const { nodeSelector, tolerations, affinity, runtimeClassName, priority } = of;
  const own = priorityClasses && priority ? priorityClass(stack, priority) : undefined;
  const priorityClassName = of.priorityClassName ?? own;
  return {
    ...(nodeSelector && { nodeSelector }),
    ...(tolerations && { tolerations }),
    ...(affinity && { affinity }),
    ...(runtimeClassName && { runtimeClassName }),
    ...(priorityClassName && { priorityClassName }),
  };
});

/** What the stack says of pods that an operator or a chart makes. */
export function placementOf(component: Component, role?: string) {
  const placed = component.podsOf(role);
  const { labels = {}, annotations = {}, zones } = placed;
  return { ...placement(component, { ...placed, runtimeClassName: undefined }), labels, annotations, zones };
}

/** Spreads the replicas that have these labels: over nodes, and over zones if the stack wants that. */
export const spread = (matchLabels: Record<string, string>, pods: Pick<RolePods, "zones">): SpreadConstraint[] => [
  spreadOverNodes(matchLabels),
  ...spreadOverZones(matchLabels, pods),
];

/** Spreads replicas over nodes. Set for a single replica too, so that scaling does not change the pod template. */
const spreadOverNodes = (matchLabels: Record<string, string>): SpreadConstraint => ({
  maxSkew: 1,
  topologyKey: "kubernetes.io/hostname",
  // Schedule all pods even on fewer nodes.
  whenUnsatisfiable: "ScheduleAnyway",
  labelSelector: { matchLabels },
});

/** Spreads replicas over zones, if the stack wants that. Kubernetes takes no node without a zone for `required`. */
export const spreadOverZones = (
  matchLabels: Record<string, string>,
  pods: Pick<RolePods, "zones">,
): SpreadConstraint[] =>
  itemsWhen(withoutBalance(pods), (whenUnsatisfiable) => [
    { maxSkew: 1, topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable, labelSelector: { matchLabels } },
  ]);

/** What the scheduler does with a pod that no zone may have more of; "" if zones do not matter. */
const withoutBalance = derived("withoutBalance", ({ zones = "ignored" }: Pick<RolePods, "zones">): string => {
  if (zones === "ignored") return "";
  return zones === "required" ? "DoNotSchedule" : "ScheduleAnyway";
});
