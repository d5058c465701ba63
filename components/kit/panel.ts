/** One graph of a dashboard. */
export interface Panel {
  title: string;
  /** Grafana's unit: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts */
  unit: "short" | "bytes" | "Bps" | "s" | "reqps" | "ops" | "percentunit";
  /** Legend → PromQL. `$of` is replaced by the labels that select the component's own pods. */
  lines: Record<string, string>;
}

/** JVM panels of a server that is built with Quarkus. */
export const quarkusPanels: Panel[] = [
  {
    title: "Memory",
    unit: "bytes",
    lines: {
      "{{pod}} heap": 'sum by (pod) (jvm_memory_used_bytes{$of,area="heap"})',
      "{{pod}} maximum heap": 'sum by (pod) (jvm_memory_max_bytes{$of,area="heap"} > 0)',
    },
  },
  {
    title: "Time in garbage collection",
    unit: "percentunit",
    lines: { "{{pod}}": "sum by (pod) (rate(jvm_gc_pause_seconds_sum{$of}[5m]))" },
  },
];
