import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { firstOf, ordinals } from "../../config/derived.ts";
import { bytes } from "../../config/quantity.ts";
import type { Component } from "./component.ts";

/**
 * Creates the PersistentVolumeClaims of a StatefulSet's pods, under the names that the StatefulSet looks for. Claims of
 * the program can be protected and can grow; a StatefulSet's own template is immutable. So `together`, which is an annotation
 * of the template, replaces the StatefulSet when it changes.
 */
export function claims(
  component: Component,
  spec: {
    suffix?: string;
    replicas: number;
    size: string;
    storageClass?: string;
    together?: pulumi.Input<string> | undefined;
  },
) {
  const { suffix, replicas, together, ...rest } = spec;
  const claims = ordinals(replicas).map((ordinal) =>
    claim(component, suffix ? `${suffix}-data-${ordinal}` : `data-${ordinal}`, {
      ...rest,
      name: `data-${component.named(suffix)}-${ordinal}`,
    }),
  );
  const template = {
    metadata: { name: "data", ...(together && { annotations: { "data-platform/restarts-together": together } }) },
    spec: {
      accessModes: ["ReadWriteOnce"],
      // Unused, because the claims exist. Constant, because a change would replace the StatefulSet.
      resources: { requests: { storage: "1Gi" } },
    },
  };
  return { claims, template };
}

/** Creates a PersistentVolumeClaim. `name` overrides its name in Kubernetes. */
export function claim(
  component: Component,
  suffix: string,
  spec: { size: string; storageClass?: string; name?: string },
): k8s.core.v1.PersistentVolumeClaim {
  const storageClassName = firstOf(spec.storageClass, component.namespace.global.storageClass);
  const name = spec.name ?? component.named(suffix);
  const { usage, name: namespace } = component.namespace;
  usage?.volumes(namespace, 1, spec.size);
  return new k8s.core.v1.PersistentVolumeClaim(
    component.named(suffix),
    {
      metadata: {
        ...component.metadata(),
        name,
        annotations: {
          // The configuration key to change if the volume is full.
          "data-platform/config-key": `${component.configKey}.storage.size`,
          // Pulumi would wait until it is bound. With WaitForFirstConsumer that is after its pod is scheduled.
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
 * Hook that refuses a smaller volume in a preview, with the configuration key. Kubernetes refuses it too, but in the
 * middle of an update. `size` reads the size from the resource's inputs; default: a PersistentVolumeClaim's.
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

/** The problem if a volume's size goes from `before` to `after`; undefined if there is none. */
export function shrinks(stack: string, component: string, before: string, after: string): string | undefined {
  return bytes(after) < bytes(before)
    ? `stack ${stack}: ${component}.storage.size: found ${after}; expected at least ${before}, the size of the volume that exists: volumes never shrink`
    : undefined;
}
