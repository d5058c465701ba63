import * as k8s from "@pulumi/kubernetes";
import type { Config } from "../../config/schema.ts";
import type { Component } from "./component.ts";

type ServiceType = "ClusterIP" | "NodePort" | "LoadBalancer";

/** Default Service type of an application, by the kind of the cluster. */
const defaults: Record<Config["global"]["cluster"], ServiceType> = {
  plain: "ClusterIP",
  kind: "NodePort",
  embedded: "NodePort",
  eks: "LoadBalancer",
  aks: "LoadBalancer",
  gke: "LoadBalancer",
};

/** Type of an application's Service: the configured one, or the default of the stack's kind of cluster. */
export const reachedBy = ({ namespace }: Component, { type }: { type?: ServiceType | undefined }): ServiceType =>
  type ?? defaults[namespace.global.cluster];

/**
 * Creates the Ingress of an application, if the configuration has a host. The Service `front` has a port named `http`.
 */
export function ingress(
  component: Component,
  { host, className, tlsSecret }: Config["polls"]["ingress"],
  spec: { suffix?: string; role: string; front: k8s.core.v1.Service },
): void {
  if (!host) return;
  const backend = { service: { name: spec.front.metadata.name, port: { name: "http" } } };
  new k8s.networking.v1.Ingress(
    component.named(spec.suffix),
    {
      metadata: {
        ...component.metadata(spec.suffix, spec.role),
        // Pulumi would wait for the address in the status, which not every controller writes.
        annotations: { "pulumi.com/skipAwait": "true" },
      },
      spec: {
        ...(className && { ingressClassName: className }),
        ...(tlsSecret && { tls: [{ hosts: [host], secretName: tlsSecret }] }),
        rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
      },
    },
    component.child({ dependsOn: [spec.front] }),
  );
}
