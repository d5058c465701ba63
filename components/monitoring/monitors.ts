import * as k8s from "@pulumi/kubernetes";
import type { Component } from "../kit/component.ts";
import { reading } from "./prometheus.ts";

/** For a Prometheus Operator that the cluster has already: what the platform's own Prometheus would read of a component. */
export function podMonitors(component: Component, labels: Record<string, string>): void {
  for (const { role, port, path, user } of component.metrics) {
    // The operator takes names from Secrets alone. It is no secret: everyone may ask by any name.
    const asked =
      user &&
      new k8s.core.v1.Secret(
        component.named(`${role}-monitor`),
        { metadata: component.metadata(`${role}-monitor`), stringData: { username: user } },
        component.child(),
      );
    const metadata = component.metadata(role);
    new k8s.apiextensions.CustomResource(
      component.named(role),
      {
        apiVersion: "monitoring.coreos.com/v1",
        kind: "PodMonitor",
        metadata: { ...metadata, labels: { ...metadata.labels, ...labels } },
        spec: {
          selector: { matchLabels: component.selector(role) },
          podMetricsEndpoints: [
            {
              port,
              ...(path && { path }),
              interval: reading.every,
              scrapeTimeout: reading.within,
              ...(asked && { basicAuth: { username: { name: asked.metadata.name, key: "username" } } }),
              // As the platform's own Prometheus names it, which its dashboards ask for.
              relabelings: [{ targetLabel: "job", replacement: component.named(role) }],
            },
          ],
        },
      },
      component.child(),
    );
  }
}
