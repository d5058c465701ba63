import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { bytes } from "../../config/quantity.ts";
import type { Component } from "./component.ts";

/**
 * The volumes of a StatefulSet's pods, each a claim of its own that the program knows: one can be protected, and it
 * can grow. A claim that a StatefulSet makes from its template can do neither, because templates cannot be changed.
 * The StatefulSet takes these, for it looks for a claim by name before it makes one.
 */
export function claims(
  component: Component,
  spec: { suffix?: string; replicas: number; size: string; storageClass?: string },
) {
  const { suffix, replicas, ...rest } = spec;
  const claims = Array.from({ length: replicas }, (_, ordinal) =>
    claim(component, suffix ? `${suffix}-data-${ordinal}` : `data-${ordinal}`, {
      ...rest,
      name: `data-${component.named(suffix)}-${ordinal}`,
    }),
  );
  const template = {
    metadata: { name: "data" },
    spec: {
      accessModes: ["ReadWriteOnce"],
      // Never used, since the claims exist; constant, since a change would replace the StatefulSet.
      resources: { requests: { storage: "1Gi" } },
    },
  };
  return { claims, template };
}

/** One volume that outlives its pods. `name` where it is not called like other objects. */
export function claim(
  component: Component,
  suffix: string,
  spec: { size: string; storageClass?: string; name?: string },
): k8s.core.v1.PersistentVolumeClaim {
  const storageClassName = spec.storageClass ?? component.namespace.global.storageClass;
  const name = spec.name ?? component.named(suffix);
  return new k8s.core.v1.PersistentVolumeClaim(
    component.named(suffix),
    {
      metadata: {
        ...component.metadata(),
        name,
        annotations: {
          // Which key of the stack to change, for whoever meets this volume.
          "data-platform/config-key": `${component.configKey}.storage.size`,
          // Bound only when its pod is scheduled, where the storage class waits for that.
          "pulumi.com/skipAwait": "true",
        },
      },
      spec: {
        accessModes: ["ReadWriteOnce"],
        resources: { requests: { storage: spec.size } },
        ...(storageClassName && { storageClassName }),
      },
    },
    component.dataChild({ hooks: { beforeUpdate: [refuseToShrink(component, name)] } }),
  );
}

// biome-ignore lint/suspicious/noExplicitAny: a resource's inputs as plain data
type Inputs = { [field: string]: any };

/**
 * Kubernetes refuses to shrink a volume too, but only half-way through an update and without naming the key. `size` finds
 * it among a resource's inputs: by default a claim's.
 */
export const refuseToShrink = (
  component: Component,
  name: string,
  size: (inputs: Inputs) => string = ({ spec }) => spec?.resources?.requests?.storage,
) =>
  new pulumi.ResourceHook(
    `${name}-never-shrinks`,
    ({ oldInputs, newInputs }) => {
      const problem = shrinks(
        component.namespace.stack,
        component.configKey,
        size(oldInputs ?? {}),
        size(newInputs ?? {}),
      );
      if (problem) throw new Error(problem);
    },
    { onDryRun: true },
  );

/** Why a volume may not go from `before` to `after`, or undefined where it may. */
export function shrinks(stack: string, component: string, before: string, after: string): string | undefined {
  return bytes(after) < bytes(before)
    ? `stack ${stack}: ${component}.storage.size: found ${after}; expected at least ${before}, the size of the volume that exists: volumes never shrink`
    : undefined;
}
