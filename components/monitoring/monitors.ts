import * as k8s from "@pulumi/kubernetes";
import { whenever } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { Component, Metrics } from "../kit/component.ts";
import { scraping } from "./prometheus.ts";

/** PodMonitors of a component, for a Prometheus Operator that the cluster has: the same targets as the platform's Prometheus. */
export function podMonitors(component: Component, labels: Record<string, string>): void {
  for (const metrics of component.metrics)
    whenever(metrics.source ?? true, () => podMonitor(component, metrics, labels));
}

function podMonitor(component: Component, { role, port, path, user }: Metrics, labels: Record<string, string>): void {
  component.namespace.network.open(component.serves(role, [port]));
  // The operator reads user names from Secrets only. This one is not secret: any name is valid.
  const login =
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
            interval: scraping.every,
            scrapeTimeout: scraping.within,
            ...(login && { basicAuth: { username: { name: login.metadata.name, key: "username" } } }),
            // The job's name in the platform's own Prometheus, which the dashboards query.
            relabelings: [{ targetLabel: "job", replacement: component.named(role) }],
          },
        ],
      },
    },
    component.child(),
  );
}

/** The stack's rules for such an operator. */
export function prometheusRule(
  component: Component,
  labels: Record<string, string>,
  groups: Config["monitoring"]["rules"],
): void {
  const metadata = component.metadata("rules");
  new k8s.apiextensions.CustomResource(
    component.named("rules"),
    {
      apiVersion: "monitoring.coreos.com/v1",
      kind: "PrometheusRule",
      metadata: { ...metadata, labels: { ...metadata.labels, ...labels } },
      spec: { groups },
    },
    component.child(),
  );
}
