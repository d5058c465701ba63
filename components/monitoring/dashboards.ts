import * as k8s from "@pulumi/kubernetes";
import { derived, when } from "../../config/derived.ts";
import type { Component } from "../kit/component.ts";
import type { ConfigFiles } from "../kit/config.ts";
import type { Panel } from "../kit/panel.ts";
import { checksumOf, fingerprint } from "../kit/secret.ts";
import { panels } from "./panels.ts";

/**
 * A dashboard for each component that has panels, as files of one ConfigMap. The label `grafana_dashboard` is what the
 * sidecar of Grafana's own Helm chart looks for (kiwigrid/k8s-sidecar).
 */
export function dashboards(exporters: Component, watched: Component[]): ConfigFiles {
  const data: Record<string, string> = Object.assign(
    {},
    ...watched.map((component) => {
      const shown = panels[component.name];
      if (!shown) return {};
      const content = dashboard(component, shown, labelsOf(component, exporters));
      return when(component, () => ({ [`${component.name}.json`]: JSON.stringify(content, null, 1) }));
    }),
  );
  const suffix = "dashboards";
  const metadata = exporters.metadata(suffix);
  const map = new k8s.core.v1.ConfigMap(
    exporters.named(suffix),
    { metadata: { ...metadata, labels: { ...metadata.labels, grafana_dashboard: "1" } }, data },
    exporters.child(),
  );
  return { name: map.metadata.name, checksum: checksumOf(exporters.named(suffix), data) };
}

/** PromQL labels of a component's series. Those of a component without metrics of its own come from an exporter's pods. */
function labelsOf(component: Component, exporters: Component): string {
  const own = component.metrics.length > 0;
  const jobs = own ? component.metrics.map(({ role }) => component.named(role)) : [jobOf(component, exporters)];
  return `job=~"${jobs.join("|")}",namespace="${(own ? component : exporters).namespace.name}"`;
}

/** The exporter with the component's name, or else the one that receives StatsD metrics. */
const jobOf = (component: Component, exporters: Component): string =>
  exporters.named(exporters.metrics.some(({ role }) => role === component.name) ? component.name : "statsd");

/** Two panels a row, in Grafana's grid of 24 columns. */
const [width, height] = [12, 8];

/** Grafana allows at most 40 characters. */
const uid = derived("dashboardUid", (name: string): string =>
  name.length <= 40 ? name : `${name.slice(0, 31)}-${fingerprint(name)}`,
);

/** Grafana's JSON model: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ */
function dashboard(component: Component, shown: Panel[], labels: string) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the dashboard
  const datasource = { type: "prometheus", uid: "${datasource}" };
  return {
    uid: uid(`${component.namespace.stack}-${component.name}`),
    title: component.name,
    tags: ["data-platform", component.namespace.stack],
    schemaVersion: 39,
    time: { from: "now-1h", to: "now" },
    refresh: "30s",
    templating: { list: [{ name: "datasource", label: "Prometheus", type: "datasource", query: "prometheus" }] },
    panels: shown.map(({ title, unit, lines }, index) => ({
      id: index + 1,
      type: "timeseries",
      title,
      gridPos: { x: (index % 2) * width, y: Math.floor(index / 2) * height, w: width, h: height },
      datasource,
      fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
      options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi" } },
      targets: Object.entries(lines).map(([legendFormat, query], line) => ({
        refId: String.fromCharCode("A".charCodeAt(0) + line),
        datasource,
        expr: query.replaceAll("$of", labels),
        legendFormat,
      })),
    })),
  };
}
