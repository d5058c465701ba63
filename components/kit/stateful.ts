import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Part } from "./part.ts";
import { type Pod, pod, type Volume } from "./pod.ts";
import { claims } from "./storage.ts";

/**
 * A StatefulSet whose pods keep a volume each, mounted by the name `data`, and the headless Service that gives
 * them their host names.
 */
export function stateful<V extends string>(
  part: Part,
  spec: {
    replicas: number;
    /** Its volume `data` is the pod's own; the others are listed. */
    pod: Omit<Pod<V | "data">, "volumes"> & { volumes: Record<Exclude<V, "data">, Volume> };
    ports: Record<string, number>;
    storage: { size: string; storageClass?: string };
    /** Start all pods at once: for servers that need each other to become ready. Default: one after another. */
    parallel?: boolean;
    dependsOn?: pulumi.Resource[];
  },
): k8s.apps.v1.StatefulSet {
  const headless = new k8s.core.v1.Service(
    part.named("headless"),
    {
      metadata: {
        ...part.metadata("headless"),
        // It must exist before its pods do, and Pulumi would wait for them.
        annotations: { "pulumi.com/skipAwait": "true" },
      },
      spec: {
        clusterIP: "None",
        publishNotReadyAddresses: true,
        selector: part.selector(spec.pod.component),
        ports: servicePorts(spec.ports),
      },
    },
    part.child(),
  );
  const volumes = claims(part, { replicas: spec.replicas, ...spec.storage });
  return new k8s.apps.v1.StatefulSet(
    part.name,
    {
      metadata: part.metadata(undefined, spec.pod.component),
      spec: {
        serviceName: headless.metadata.name,
        replicas: spec.replicas,
        selector: { matchLabels: part.selector(spec.pod.component) },
        ...(spec.parallel && { podManagementPolicy: "Parallel" }),
        template: pod<string>(part, spec.pod),
        volumeClaimTemplates: [volumes.template],
      },
    },
    part.child({ dependsOn: [...volumes.claims, ...(spec.dependsOn ?? [])] }),
  );
}

/** Ports of a Service, each to the container's port of the same name. */
export const servicePorts = (ports: Record<string, number>) =>
  Object.entries(ports).map(([name, port]) => ({ name, port, targetPort: name }));
