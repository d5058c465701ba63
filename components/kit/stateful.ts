import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { whenever } from "../../config/derived.ts";
import { fixedReplicas, resizes } from "../../config/immutable-fields.ts";
import type { Component } from "./component.ts";
import { disruptionBudget, several } from "./deployment.ts";
import { countPods, type Pod, pod, type Volume } from "./pod.ts";
import { headlessService } from "./service.ts";
import { claims } from "./storage.ts";

/** The pod of a StatefulSet. It mounts its own volume by the name `data`; `volumes` lists the others. */
export type StatefulPod<V extends string> = Omit<Pod<V | "data">, "volumes"> & {
  volumes: Record<Exclude<V, "data">, Volume>;
};

export interface StatefulArgs<V extends string> {
  /** Suffix of the StatefulSet's name. Default: none, the component's name. */
  suffix?: string;
  replicas: number;
  pod: StatefulPod<V>;
  /** Ports of the headless Service. */
  ports: Record<string, number>;
  /** Size and StorageClass of each pod's volume. Default class: the stack's. */
  storage: { size: string; storageClass?: string };
  /** Start all pods at once, for servers that become ready only together. Default: one after another. */
  parallel?: boolean;
  /**
   * Changes when pods of before and of after could not work with each other: then the StatefulSet is replaced, so that
   * all of them restart at once. Default: they restart one after another.
   */
  together?: pulumi.Input<string> | undefined;
  /** Configuration key of `replicas`, if the number cannot change after the first start: a preview refuses a change. */
  fixedReplicas?: string;
  dependsOn?: pulumi.Resource[];
}

/** Creates a StatefulSet with a volume for each pod, mounted by the name `data`, and its headless Service. */
export function stateful<V extends string>(component: Component, spec: StatefulArgs<V>): k8s.apps.v1.StatefulSet {
  const { suffix, replicas } = spec;
  const { role } = spec.pod;
  const headless = headlessService(component, {
    role,
    ...(suffix && { suffix: `${suffix}-headless` }),
    ports: spec.ports,
  });
  whenever(several(replicas), () => disruptionBudget(component, { suffix, role }));
  countPods<string>(component, () => replicas, spec.pod);
  const volumes = claims(component, { suffix, replicas, together: spec.together, ...spec.storage });
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
        template: pod<string>(component, { ...spec.pod, quorum: spec.fixedReplicas !== undefined }),
        volumeClaimTemplates: [volumes.template],
      },
    },
    component.child({
      dependsOn: [...volumes.claims, ...(spec.dependsOn ?? [])],
      ...(spec.fixedReplicas && { hooks: { beforeUpdate: [refuseToResize(component, spec.fixedReplicas)] } }),
    }),
  );
}

/**
 * Hook that refuses another number of replicas in a preview: the new pods would have empty volumes, and could outvote
 * the old ones.
 */
export const refuseToResize = (component: Component, key: string) =>
  new pulumi.ResourceHook(
    `${component.name}-keeps-its-number`,
    ({ oldInputs, newInputs }) => {
      const problem = resizes(oldInputs?.spec?.replicas, newInputs?.spec?.replicas);
      if (problem) throw new Error(`stack ${component.namespace.stack}: ${key}: ${problem}`);
    },
    { onDryRun: true },
  );
