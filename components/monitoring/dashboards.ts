import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Component } from "../kit/component.ts";
import { fingerprint } from "../kit/secret.ts";
import { panels } from "./panels.ts";

/** One graph: lines by their legend, each a query in which `$of` stands for the labels of the component's own pods. */
export interface Panel {
  title: string;
  /** One of Grafana's units: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts */
  unit: "short" | "bytes" | "Bps" | "s" | "reqps" | "ops" | "percentunit";
  lines: Record<string, string>;
}

/**
 * A dashboard for each component that there is, as files of one ConfigMap. Its label is what a Grafana that someone else
 * runs in the cluster looks for (kiwigrid/k8s-sidecar).
 */
export function dashboards(
  exporters: Component,
  watched: Component[],
): { name: pulumi.Output<string>; checksum: string } {
  const components = watched.filter(({ name }) => name in panels);
  const data = Object.fromEntries(
    components.map((component) => {
      // What an exporter tells of a component stands under the exporter's name.
      const told = component.metrics.length > 0 ? component : exporters;
      const jobs =
        told === component ? told.metrics.map(({ role }) => component.named(role)) : [jobOf(component, exporters)];
      const labels = `job=~"${jobs.join("|")}",namespace="${told.namespace.name}"`;
      return [`${component.name}.json`, JSON.stringify(dashboard(component, labels), null, 1)];
    }),
  );
  const suffix = "dashboards";
  const metadata = exporters.metadata(suffix);
  const map = new k8s.core.v1.ConfigMap(
    exporters.named(suffix),
    { metadata: { ...metadata, labels: { ...metadata.labels, grafana_dashboard: "1" } }, data },
    exporters.child(),
  );
  return { name: map.metadata.name, checksum: fingerprint(data) };
}

/** The exporter that is named like the component, or else the one that components tell of themselves. */
const jobOf = (component: Component, exporters: Component): string =>
  exporters.named(exporters.metrics.some(({ role }) => role === component.name) ? component.name : "statsd");

/** Two panels a row, in Grafana's grid of 24 columns. */
const [width, height] = [12, 8];

/** Grafana takes at most 40 characters. */
const uid = (name: string): string => (name.length <= 40 ? name : `${name.slice(0, 31)}-${fingerprint(name)}`);

function dashboard(component: Component, labels: string) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills it in
  const datasource = { type: "prometheus", uid: "${datasource}" };
  return {
    uid: uid(`${component.namespace.stack}-${component.name}`),
    title: component.name,
    tags: ["data-platform", component.namespace.stack],
    schemaVersion: 39,
    time: { from: "now-1h", to: "now" },
    refresh: "30s",
    templating: { list: [{ name: "datasource", label: "Prometheus", type: "datasource", query: "prometheus" }] },
    panels: panels[component.name]!.map(({ title, unit, lines }, index) => ({
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
