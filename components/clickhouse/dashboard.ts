import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  { title: "Running queries", unit: "short", lines: { queries: "ClickHouseMetrics_Query{$of}" } },
  {
    title: "Queries",
    unit: "ops",
    lines: {
      all: "rate(ClickHouseProfileEvents_Query{$of}[5m])",
      failed: "rate(ClickHouseProfileEvents_FailedQuery{$of}[5m])",
    },
  },
  { title: "Memory", unit: "bytes", lines: { used: "ClickHouseMetrics_MemoryTracking{$of}" } },
  {
    title: "Rows",
    unit: "ops",
    lines: {
      inserted: "rate(ClickHouseProfileEvents_InsertedRows{$of}[5m])",
      selected: "rate(ClickHouseProfileEvents_SelectedRows{$of}[5m])",
    },
  },
  { title: "Data parts", unit: "short", lines: { active: "ClickHouseMetrics_PartsActive{$of}" } },
  {
    title: "Running merges",
    unit: "short",
    lines: { merges: "ClickHouseMetrics_Merge{$of}" },
  },
];
