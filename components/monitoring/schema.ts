import { z } from "zod";
import { auth, block, count, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";
import { monitoringImages } from "./images.ts";

const label = "expected labels, each a text";

const config = block({
  enabled: enabled(false),
  prometheus: block({
    enabled: enabled(),
    image: image("prom/prometheus:v3.13.5"),
    retention: count("days", 1, 3_650)
      .default(15)
      .describe("Days that Prometheus keeps samples. If the volume fills up earlier, it deletes the oldest."),
    resources: resources({ cpu: "100m", memory: "512Mi", limit: "1Gi" }),
    storage: storage("10Gi"),
    service,
  }).prefault({}),
  grafana: block({
    enabled: enabled(),
    // No package contains it, so it is the one image that the tests do not run: see docs/monitoring.md.
    image: image("grafana/grafana:12.4.0"),
    resources: resources({ cpu: "50m", memory: "256Mi", limit: "512Mi" }),
    storage: storage("1Gi"),
    service,
    auth: auth("the key password, the user admin's"),
  }).prefault({}),
  monitors: block({
    enabled: enabled(false).describe(
      "Whether each component has a PodMonitor, for a Prometheus Operator that the cluster has already.",
    ),
    labels: z
      .record(z.string(), z.string({ error: label }), { error: label })
      .default({})
      .describe("Labels of the PodMonitors, by which that operator's Prometheus picks what it reads."),
  }).prefault({}),
  exporters: block({
    // 0.20 renamed its metrics.
    postgresql: image("quay.io/prometheuscommunity/postgres-exporter:v0.19.1"),
    redis: image("oliver006/redis_exporter:v1.88.0"),
    statsd: image("prom/statsd-exporter:v0.31.0"),
    // The JMX exporter's agent, which no image is published of: components/monitoring/images/jmx-exporter.
    jmx: image("data-platform/jmx-exporter:1.0.1"),
    resources: resources({ cpu: "10m", memory: "48Mi", limit: "128Mi" }),
  }).prefault({}),
})
  .superRefine(({ enabled, prometheus, grafana }, context) => {
    if (enabled && grafana.enabled && !prometheus.enabled)
      context.addIssue({
        code: "custom",
        path: ["grafana", "enabled"],
        input: true,
        message:
          "expected monitoring.prometheus.enabled: true beside it, since Grafana reads from it; or monitoring.grafana.enabled: false",
      });
  })
  .prefault({});

export const monitoring = component({
  title: "Prometheus and Grafana",
  summary: "Metrics, dashboards and exporters",
  folder: "monitoring",
  images: monitoringImages,
  names: /^(prometheus|grafana|exporters)$/,
  namespace: "monitoring",
  config,
  uses: ["postgresql", "redis"],
});
