import * as k8s from "@pulumi/kubernetes";
import type { Config } from "../../config/schema.ts";
import type { Component } from "./component.ts";

type ServiceType = "ClusterIP" | "NodePort" | "LoadBalancer";

/** How people reach an application, by the kind of the cluster. */
const usual: Record<Config["global"]["cluster"], ServiceType> = {
  plain: "ClusterIP",
  kind: "NodePort",
  embedded: "NodePort",
  eks: "LoadBalancer",
  aks: "LoadBalancer",
  gke: "LoadBalancer",
};

/** The kind of Service that an application is reached by: what is configured, else what is usual on such a cluster. */
export const reachedBy = ({ namespace }: Component, { type }: { type?: ServiceType | undefined }): ServiceType =>
  type ?? usual[namespace.global.cluster];

/** Has a host name lead to an application's Service, whose port is `http`. Without a host there is nothing to do. */
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
        // Not every controller says where it answers, and Pulumi would wait for that.
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
