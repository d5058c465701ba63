import { z } from "zod";
import { auth, block, count, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { component } from "../kit/definition.ts";

const label = "expected labels, each a text";

const config = block({
  enabled: enabled(false),
  prometheus: block({
    enabled: enabled(),
    image: image("prometheus"),
    retention: count("days", 1, 3_650)
      .default(15)
      .describe("Days that Prometheus keeps what it has read. Where the volume fills up before, the oldest goes."),
    resources: resources({ cpu: "100m", memory: "512Mi", limit: "1Gi" }),
    storage: storage("10Gi"),
    service,
  }).prefault({}),
  grafana: block({
    enabled: enabled(),
    image: image("grafana"),
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
    postgresql: image("postgresqlExporter"),
    redis: image("redisExporter"),
    statsd: image("statsdExporter"),
    jmx: image("jmxExporter"),
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
          "expected monitoring.prometheus.enabled: true beside it, since it shows what is there; or monitoring.grafana.enabled: false",
      });
  })
  .prefault({});

export const monitoring = component({
  title: "Prometheus and Grafana",
  summary: "Metrics, dashboards and exporters",
  folder: "monitoring",
  names: /^(prometheus|grafana|exporters)$/,
  namespace: "monitoring",
  config,
  uses: ["postgresql", "redis"],
});
