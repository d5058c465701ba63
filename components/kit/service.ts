import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Component } from "./component.ts";
import type { Endpoint } from "./connection.ts";
import type { Ports } from "./pod.ts";

/**
 * The Service in front of one workload's pods. It is named like the component, or with a suffix.
 *
 * It is made beside its workload, and Pulumi does not wait for it: the workload is waited for, and Pulumi's wait for a
 * Service adds ten seconds to each. A client therefore depends on both. A LoadBalancer is waited for, since its
 * address may never come, and made after its workload, since that wait ends after ten minutes.
 */
export function service(
  component: Component,
  spec: {
    role: string;
    suffix?: string;
    ports: Ports;
    type?: string;
    /** The Deployment or StatefulSet of the component. */
    workload: pulumi.Resource;
  },
): k8s.core.v1.Service {
  const balanced = spec.type === "LoadBalancer";
  return new k8s.core.v1.Service(
    component.named(spec.suffix),
    {
      metadata: {
        ...component.metadata(spec.suffix),
        ...(!balanced && { annotations: { "pulumi.com/skipAwait": "true" } }),
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

/** The address of one of a component's Services, for the stack's outputs. */
export const endpoint = (component: Component, port: number, suffix?: string): Endpoint => ({
  namespace: component.namespace.name,
  service: component.named(suffix),
  host: component.host(suffix),
  port,
});

/** The headless Service that gives a component's pods host names of their own, ready or not. */
export function headlessService(
  component: Component,
  spec: { role?: string; suffix?: string; ports: Ports },
): k8s.core.v1.Service {
  const suffix = spec.suffix ?? "headless";
  return new k8s.core.v1.Service(
    component.named(suffix),
    {
      metadata: {
        ...component.metadata(suffix),
        // It must exist before its pods do, and Pulumi would wait for them.
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

/** Ports of a Service, each to the container's port of the same name. */
const servicePorts = (ports: Ports) =>
  Object.entries(ports).map(([name, port]) =>
    typeof port === "number"
      ? { name, port, targetPort: name }
      : { name, port: port.udp, targetPort: name, protocol: "UDP" },
  );
