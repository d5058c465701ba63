import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { fixedReplicas, resizes } from "../../config/fixed-replicas.ts";
import type { Component } from "./component.ts";
import { disruptionBudget } from "./deployment.ts";
import { type Pod, pod, type Volume } from "./pod.ts";
import { headlessService } from "./service.ts";
import { claims } from "./storage.ts";

/** The pod of a StatefulSet. It mounts its own volume by the name `data`; `volumes` lists the others. */
export type StatefulPod<V extends string> = Omit<Pod<V | "data">, "volumes"> & {
  volumes: Record<Exclude<V, "data">, Volume>;
};

/**
 * A StatefulSet whose pods keep a volume each, mounted by the name `data`, and the headless Service that gives
 * them their host names.
 */
export function stateful<V extends string>(
  component: Component,
  spec: {
    /** Its name is the component's and this; or the component's alone where it has no other. */
    suffix?: string;
    replicas: number;
    pod: StatefulPod<V>;
    ports: Record<string, number>;
    storage: { size: string; storageClass?: string };
    /** Start all pods at once: for servers that need each other to become ready. Default: one after another. */
    parallel?: boolean;
    /** The configuration's key of a number of pods that cannot change once they have data: a preview refuses to. */
    fixedReplicas?: string;
    dependsOn?: pulumi.Resource[];
  },
): k8s.apps.v1.StatefulSet {
  const { suffix, replicas } = spec;
  const { role } = spec.pod;
  const headless = headlessService(component, {
    role,
    ...(suffix && { suffix: `${suffix}-headless` }),
    ports: spec.ports,
  });
  if (replicas > 1) disruptionBudget(component, { suffix, role });
  const volumes = claims(component, { suffix, replicas, ...spec.storage });
  return new k8s.apps.v1.StatefulSet(
    component.named(suffix),
    {
      metadata: {
        ...component.metadata(suffix, role),
        ...(spec.fixedReplicas && { annotations: { [fixedReplicas]: spec.fixedReplicas } }),
      },
      spec: {
        serviceName: headless.metadata.name,
        replicas,
        selector: { matchLabels: component.selector(role) },
        ...(spec.parallel && { podManagementPolicy: "Parallel" }),
        template: pod<string>(component, spec.pod),
        volumeClaimTemplates: [volumes.template],
      },
    },
    component.child({
      dependsOn: [...volumes.claims, ...(spec.dependsOn ?? [])],
      ...(spec.fixedReplicas && { hooks: { beforeUpdate: [refuseToResize(component, spec.fixedReplicas)] } }),
    }),
  );
}

/** Without it, the new pods would come up with empty volumes beside the old ones and decide as a majority of their own. */
export const refuseToResize = (component: Component, key: string) =>
  new pulumi.ResourceHook(
    `${component.name}-keeps-its-number`,
    ({ oldInputs, newInputs }) => {
      const problem = resizes(oldInputs?.spec?.replicas, newInputs?.spec?.replicas);
      if (problem) throw new Error(`stack ${component.namespace.stack}: ${key}: ${problem}`);
    },
    { onDryRun: true },
  );
