import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Part } from "./part.ts";
import type { Ports } from "./pod.ts";

/** The Service in front of one component's pods. It is named like the part, or like a piece of it. */
export function service(
  part: Part,
  spec: {
    component: string;
    piece?: string;
    ports: Ports;
    type?: string;
    dependsOn?: pulumi.Resource[];
  },
): k8s.core.v1.Service {
  return new k8s.core.v1.Service(
    part.named(spec.piece),
    {
      metadata: part.metadata(spec.piece),
      spec: {
        type: spec.type ?? "ClusterIP",
        selector: part.selector(spec.component),
        ports: servicePorts(spec.ports),
      },
    },
    part.child({ dependsOn: spec.dependsOn ?? [] }),
  );
}

/** The headless Service that gives a component's pods host names of their own, ready or not. */
export function headlessService(
  part: Part,
  spec: { component?: string; piece?: string; ports: Ports },
): k8s.core.v1.Service {
  const piece = spec.piece ?? "headless";
  return new k8s.core.v1.Service(
    part.named(piece),
    {
      metadata: {
        ...part.metadata(piece),
        // It must exist before its pods do, and Pulumi would wait for them.
        annotations: { "pulumi.com/skipAwait": "true" },
      },
      spec: {
        clusterIP: "None",
        publishNotReadyAddresses: true,
        selector: part.selector(spec.component),
        ports: servicePorts(spec.ports),
      },
    },
    part.child(),
  );
}

/** Ports of a Service, each to the container's port of the same name. */
const servicePorts = (ports: Ports) =>
  Object.entries(ports).map(([name, port]) =>
    typeof port === "number"
      ? { name, port, targetPort: name }
      : { name, port: port.udp, targetPort: name, protocol: "UDP" },
  );
