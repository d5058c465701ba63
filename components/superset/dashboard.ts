import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  { title: "Answered health checks", unit: "ops", lines: { web: "rate(superset_health{$of}[5m])" } },
  {
    title: "Executed scheduled tasks",
    unit: "ops",
    lines: { "beat and worker": "rate(superset_reports_scheduler{$of}[5m])" },
  },
  {
    title: "API calls",
    unit: "ops",
    lines: {
      "{{api}} {{result}}": "sum by (api, result) (rate(superset_api_calls{$of}[5m]))",
    },
  },
  {
    title: "SQL Lab query duration, 90th percentile",
    unit: "s",
    lines: {
      pending: 'superset_sqllab_query_time_pending{$of,quantile="0.9"}',
      executing: 'superset_sqllab_query_time_executing_query{$of,quantile="0.9"}',
    },
  },
];
