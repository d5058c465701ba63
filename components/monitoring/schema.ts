import { z } from "zod";
import { auth, block, count, enabled, image, resources, service, storage } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { component } from "../kit/definition.ts";
import { monitoringImages } from "./images.ts";
import { alertmanagerConfig } from "./receivers.ts";

const label = "expected labels, each a text";

const grafanaSets = { PASSWORD: "monitoring.grafana.auth" };
const exporterSets = {
  DATA_SOURCE_URI: "",
  DATA_SOURCE_USER: "postgresql.auth",
  DATA_SOURCE_PASS: "postgresql.auth",
  REDIS_ADDR: "",
  REDIS_PASSWORD: "redis.auth",
};

const promName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const duration = z
  .string({ error: "expected a duration such as 5m" })
  .regex(/^([0-9]+(ms|[smhdwy]))+$/, { error: "expected a duration such as 5m" });
const texts = z.record(z.string(), z.string({ error: "expected a text" }), { error: "expected texts by their names" });
/** A rule in Prometheus' own form. Prometheus checks the expressions. */
const rule = block({
  alert: z.string({ error: "expected the alert's name" }).min(1, { error: "expected the alert's name" }).optional(),
  record: z
    .string({ error: "expected a metric's name" })
    .regex(promName, { error: "expected a metric's name such as job:errors:rate5m" })
    .optional(),
  expr: z.string({ error: "expected an expression of PromQL" }).min(1, { error: "expected an expression of PromQL" }),
  for: duration.optional(),
  keep_firing_for: duration.optional(),
  labels: texts.optional(),
  annotations: texts.optional(),
}).superRefine(({ alert, record, ...rest }, context) => {
  if ((alert === undefined) === (record === undefined))
    context.addIssue({ code: "custom", path: ["alert"], input: alert, message: "expected either alert or record" });
  for (const key of ["for", "keep_firing_for", "annotations"] as const)
    if (record !== undefined && rest[key] !== undefined)
      context.addIssue({
        code: "custom",
        path: [key],
        input: rest[key],
        message: "expected nothing here beside record: it is an alert's",
      });
});
const rules = z
  .array(
    block({
      name: z.string({ error: "expected the group's name" }).min(1, { error: "expected the group's name" }),
      interval: duration.optional(),
      rules: z.array(rule, { error: "expected a list of rules" }),
    }),
    { error: "expected a list of groups of rules" },
  )
  .superRefine((groups, context) => {
    for (const [index, { name }] of groups.entries())
      if (groups.findIndex((one) => one.name === name) < index)
        context.addIssue({
          code: "custom",
          path: [index, "name"],
          input: name,
          message: "expected a name of its own: another group has this one",
        });
  })
  .default([])
  .describe(
    "Groups of alerting and recording rules, in the form of Prometheus' rule files. With `monitoring.monitors` they are a PrometheusRule too.",
  );
const alertmanagerExpected = "expected a host and a port such as alertmanager.monitoring.svc:9093";

const config = block({
  enabled: enabled(false),
  prometheus: block({
    enabled: enabled(),
    image: image("prom/prometheus:v3.13.5"),
    retention: count("days", 1, 3_650)
      .default(15)
      .describe("Days that Prometheus keeps samples. If the volume fills up earlier, it deletes the oldest."),
    resources: resources({ cpu: "100m", memory: "512Mi", limit: "1Gi" }),
    ...workload({ priority: "web" }),
    alertmanagers: z
      .array(
        z
          .string({ error: alertmanagerExpected })
          .regex(/^(https?:\/\/)?[\w.-]+:\d{1,5}$/, { error: alertmanagerExpected }),
        { error: "expected a list of addresses" },
      )
      .default([])
      .describe(
        "Addresses of your Alertmanagers that alerts are sent to, such as `alertmanager.ops.svc:9093`, with `https://` before it if they have TLS. Receivers and routes are configured there. The platform's own, `monitoring.alertmanager`, needs no address.",
      ),
    storage: storage("10Gi"),
    service,
  }).prefault({}),
  alertmanager: block({
    enabled: enabled(false),
    image: image("prom/alertmanager:v0.31.1"),
    resources: resources({ cpu: "10m", memory: "64Mi", limit: "128Mi" }),
    ...workload({ priority: "web" }),
    storage: storage("1Gi"),
    service,
    config: alertmanagerConfig
      .optional()
      .describe(
        "Alertmanager's configuration in its own form: at least `route` and `receivers`. A password is a file, by a key such as `api_url_file: /etc/alertmanager/secrets/SECRET/KEY` with the name of a Secret in the component's namespace and one of its keys. See docs/monitoring.md.",
      ),
  })
    .superRefine(({ enabled, config }, context) => {
      if (enabled && !config)
        context.addIssue({
          code: "custom",
          path: ["config"],
          input: config,
          message: "expected Alertmanager's configuration, with route and receivers: without them it sends nothing",
        });
    })
    .prefault({}),
  grafana: block({
    enabled: enabled(),
    // No package contains it, so it is the one image that the tests do not run: see docs/monitoring.md.
    image: image("grafana/grafana:12.4.0"),
    resources: resources({ cpu: "50m", memory: "256Mi", limit: "512Mi" }),
    ...workload({ priority: "web", sets: grafanaSets }),
    storage: storage("1Gi"),
    service,
    auth: auth("the key password, the user admin's"),
  }).prefault({}),
  rules,
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
    ...workload({ priority: "web", roles: ["postgresql", "redis", "statsd"], sets: exporterSets }),
  }).prefault({}),
})
  .superRefine(({ enabled, prometheus, alertmanager, grafana }, context) => {
    if (enabled && alertmanager.enabled && !prometheus.enabled)
      context.addIssue({
        code: "custom",
        path: ["alertmanager", "enabled"],
        input: true,
        message:
          "expected monitoring.prometheus.enabled: true beside it, since Prometheus sends the alerts; or monitoring.alertmanager.enabled: false",
      });
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
  summary: "Metrics, dashboards, alerts and exporters",
  folder: "monitoring",
  images: monitoringImages,
  names: /^(prometheus|alertmanager|grafana|exporters)$/,
  namespace: "monitoring",
  config,
  uses: ["postgresql", "redis"],
});
