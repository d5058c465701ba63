import { type Panel, quarkusPanels } from "../kit/panel.ts";

export const panels: Panel[] = [
  {
    title: "Requests",
    unit: "reqps",
    lines: { "{{status_code_group}}": "sum by (status_code_group) (rate(rest_requests_seconds_count{$of}[5m]))" },
  },
  {
    title: "Mean request duration",
    unit: "s",
    lines: {
      "{{pod}}":
        "sum by (pod) (rate(rest_requests_seconds_sum{$of}[5m])) / sum by (pod) (rate(rest_requests_seconds_count{$of}[5m]))",
    },
  },
  {
    title: "Failed storage calls",
    unit: "ops",
    lines: { "{{method}}": 'rate(storage_method_call_seconds_count{$of,success="false"}[5m]) > 0' },
  },
  ...quarkusPanels,
];
