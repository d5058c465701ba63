import * as k8s from "@pulumi/kubernetes";
import type { Part } from "../kit/part.ts";
import { reading } from "./prometheus.ts";

/** For a Prometheus Operator that the cluster has already: what the platform's own Prometheus would read of a part. */
export function podMonitors(part: Part, labels: Record<string, string>): void {
  for (const { component, port, path, user } of part.metrics) {
    // The operator takes names from Secrets alone. It is no secret: everyone may ask by any name.
    const asked =
      user &&
      new k8s.core.v1.Secret(
        part.named(`${component}-monitor`),
        { metadata: part.metadata(`${component}-monitor`), stringData: { username: user } },
        part.child(),
      );
    const metadata = part.metadata(component);
    new k8s.apiextensions.CustomResource(
      part.named(component),
      {
        apiVersion: "monitoring.coreos.com/v1",
        kind: "PodMonitor",
        metadata: { ...metadata, labels: { ...metadata.labels, ...labels } },
        spec: {
          selector: { matchLabels: part.selector(component) },
          podMetricsEndpoints: [
            {
              port,
              ...(path && { path }),
              interval: reading.every,
              scrapeTimeout: reading.within,
              ...(asked && { basicAuth: { username: { name: asked.metadata.name, key: "username" } } }),
              // As the platform's own Prometheus names it, which its dashboards ask for.
              relabelings: [{ targetLabel: "job", replacement: part.named(component) }],
            },
          ],
        },
      },
      part.child(),
    );
  }
}
