import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { bothOf, derived, whenever } from "../../config/derived.ts";
import type { Component } from "./component.ts";
import type { Endpoint } from "./connection.ts";
import type { Ports } from "./pod.ts";

export interface ServiceArgs {
  /** Role of the workload whose pods the Service selects. */
  role: string;
  /** Suffix of the Service's name. Default: none, the component's name. */
  suffix?: string;
  ports: Ports;
  /** Default: ClusterIP. */
  type?: string;
  /** Annotations that the stack has for it, of a Service for clients outside the cluster. Default: none. */
  annotations?: Record<string, string>;
  /** The Deployment or StatefulSet of the pods. */
  workload: pulumi.Resource;
}

/**
 * Creates the Service of one workload.
 *
 * Pulumi does not wait for it, because that adds ten seconds to each Service; it waits for the workload. Clients depend
 * on both. Exception: it waits for a LoadBalancer, whose address may never come. The wait ends after ten minutes, so a
 * LoadBalancer is created after its workload.
 */
export function service(component: Component, spec: ServiceArgs): k8s.core.v1.Service {
  const balanced = spec.type === "LoadBalancer";
  const { network } = component.namespace;
  const served = component.serves(spec.role, Object.keys(spec.ports));
  network.open(served);
  whenever(isExposed(spec.type ?? "ClusterIP"), () => network.open({ ...served, exposedBy: spec.type }));
  return new k8s.core.v1.Service(
    component.named(spec.suffix),
    {
      metadata: {
        ...component.metadata(spec.suffix),
        ...metadataAnnotations({ ...(!balanced && { "pulumi.com/skipAwait": "true" }), ...spec.annotations }),
      },
      spec: {
        type: spec.type ?? "ClusterIP",
        selector: component.selector(spec.role),
        ports: servicePorts(spec.ports),
      },
    },
    component.child({ dependsOn: balanced ? [spec.workload] : [] }),
  );
}

/** Whether a Service of a type has an address outside the cluster. */
const isExposed = derived("isExposed", (type: string): boolean => type !== "ClusterIP");

/** The address of one of a component's Services, for the stack's outputs. */
export const endpoint = (component: Component, port: number, suffix?: string): Endpoint => ({
  namespace: component.namespace.name,
  service: component.named(suffix),
  host: component.host(suffix),
  port,
});

/** Creates a headless Service: its pods have host names, even before they are ready. */
export function headlessService(
  component: Component,
  spec: {
    /** Role of the pods. Default: all pods of the component. */
    role?: string;
    /** Default: `headless`. */
    suffix?: string;
    ports: Ports;
  },
): k8s.core.v1.Service {
  const suffix = spec.suffix ?? "headless";
  return new k8s.core.v1.Service(
    component.named(suffix),
    {
      metadata: {
        ...component.metadata(suffix),
        // Pulumi would wait for its pods, and they are created after it.
        annotations: { "pulumi.com/skipAwait": "true" },
      },
      spec: {
        clusterIP: "None",
        publishNotReadyAddresses: true,
        selector: component.selector(spec.role),
        ports: servicePorts(spec.ports),
      },
    },
    component.child(),
  );
}

/**
 * Type and annotations of a Service for clients outside the cluster, from the component's block `service`. The stack's
 * `global.serviceAnnotations` apply to all of these.
 */
export const exposed = (
  { namespace }: Component,
  { type, annotations }: { type: string; annotations?: Record<string, string> | undefined },
): Required<Pick<ServiceArgs, "type" | "annotations">> => ({
  type,
  annotations: bothOf(namespace.global.serviceAnnotations, annotations ?? {}),
});

const metadataAnnotations = (annotations: Record<string, string>) =>
  Object.keys(annotations).length > 0 ? { annotations } : {};

/** Ports of a Service. Each targets the container's port of the same name. */
const servicePorts = (ports: Ports) =>
  Object.entries(ports).map(([name, port]) =>
    typeof port === "number"
      ? { name, port, targetPort: name }
      : { name, port: port.udp, targetPort: name, protocol: "UDP" },
  );
