import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { fixedReplicas, resizes } from "../../config/fixed-replicas.ts";
import { disruptionBudget } from "./deployment.ts";
import type { Part } from "./part.ts";
import { type Pod, pod, type Volume } from "./pod.ts";
import { headlessService } from "./service.ts";
import { claims } from "./storage.ts";

/**
 * A StatefulSet whose pods keep a volume each, mounted by the name `data`, and the headless Service that gives
 * them their host names.
 */
export function stateful<V extends string>(
  part: Part,
  spec: {
    /** Its name is the part's and this; or the part's alone where it has no other. */
    piece?: string;
    replicas: number;
    /** Its volume `data` is the pod's own; the others are listed. */
    pod: Omit<Pod<V | "data">, "volumes"> & { volumes: Record<Exclude<V, "data">, Volume> };
    ports: Record<string, number>;
    storage: { size: string; storageClass?: string };
    /** Start all pods at once: for servers that need each other to become ready. Default: one after another. */
    parallel?: boolean;
    /** The configuration's key of a number of pods that cannot change once they have data: a preview refuses to. */
    fixedReplicas?: string;
    dependsOn?: pulumi.Resource[];
  },
): k8s.apps.v1.StatefulSet {
  const { piece, replicas } = spec;
  const { component } = spec.pod;
  const headless = headlessService(part, {
    component,
    ...(piece && { piece: `${piece}-headless` }),
    ports: spec.ports,
  });
  if (replicas > 1) disruptionBudget(part, { piece, component });
  const volumes = claims(part, { piece, replicas, ...spec.storage });
  return new k8s.apps.v1.StatefulSet(
    part.named(piece),
    {
      metadata: {
        ...part.metadata(piece, component),
        ...(spec.fixedReplicas && { annotations: { [fixedReplicas]: spec.fixedReplicas } }),
      },
      spec: {
        serviceName: headless.metadata.name,
        replicas,
        selector: { matchLabels: part.selector(component) },
        ...(spec.parallel && { podManagementPolicy: "Parallel" }),
        template: pod<string>(part, spec.pod),
        volumeClaimTemplates: [volumes.template],
      },
    },
    part.child({
      dependsOn: [...volumes.claims, ...(spec.dependsOn ?? [])],
      ...(spec.fixedReplicas && { hooks: { beforeUpdate: [refuseToResize(part, spec.fixedReplicas)] } }),
    }),
  );
}

/** Without it, the new pods would come up with empty volumes beside the old ones and decide as a majority of their own. */
export const refuseToResize = (part: Part, key: string) =>
  new pulumi.ResourceHook(
    `${part.name}-keeps-its-number`,
    ({ oldInputs, newInputs }) => {
      const problem = resizes(oldInputs?.spec?.replicas, newInputs?.spec?.replicas);
      if (problem) throw new Error(`stack ${part.place.stack}: ${key}: ${problem}`);
    },
    { onDryRun: true },
  );
