import { type Panel, quarkusPanels } from "../kit/panel.ts";

export const panels: Panel[] = [
  {
    title: "Requests",
    unit: "reqps",
    lines: { "{{outcome}}": "sum by (outcome) (rate(http_server_requests_seconds_count{$of}[5m]))" },
  },
  {
    title: "Mean request duration",
    unit: "s",
    lines: {
      "{{pod}}":
        "sum by (pod) (rate(http_server_requests_seconds_sum{$of}[5m])) / sum by (pod) (rate(http_server_requests_seconds_count{$of}[5m]))",
    },
  },
  {
    title: "Version store operations",
    unit: "ops",
    lines: { "{{method}}": "sum by (method) (rate(nessie_versionstore_request_seconds_count{$of}[5m]))" },
  },
  ...quarkusPanels,
];
