import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Part } from "./part.ts";
import type { Ports } from "./pod.ts";

/**
 * The Service in front of one component's pods. It is named like the part, or like a piece of it.
 *
 * It is made beside its workload, and Pulumi does not wait for it: the workload is waited for, and Pulumi's wait for a
 * Service adds ten seconds to each. A client therefore depends on both. A LoadBalancer is waited for, since its
 * address may never come, and made after its workload, since that wait ends after ten minutes.
 */
export function service(
  part: Part,
  spec: {
    component: string;
    piece?: string;
    ports: Ports;
    type?: string;
    /** The Deployment or StatefulSet of the component. */
    workload: pulumi.Resource;
  },
): k8s.core.v1.Service {
  const balanced = spec.type === "LoadBalancer";
  return new k8s.core.v1.Service(
    part.named(spec.piece),
    {
      metadata: {
        ...part.metadata(spec.piece),
        ...(!balanced && { annotations: { "pulumi.com/skipAwait": "true" } }),
      },
      spec: {
        type: spec.type ?? "ClusterIP",
        selector: part.selector(spec.component),
        ports: servicePorts(spec.ports),
      },
    },
    part.child({ dependsOn: balanced ? [spec.workload] : [] }),
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
