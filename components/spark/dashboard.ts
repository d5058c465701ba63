import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  {
    title: "Workers",
    unit: "short",
    lines: { alive: "metrics_master_aliveWorkers_Value{$of}", known: "metrics_master_workers_Value{$of}" },
  },
  {
    title: "Applications",
    unit: "short",
    lines: { known: "metrics_master_apps_Value{$of}", waiting: "metrics_master_waitingApps_Value{$of}" },
  },
  {
    title: "Worker cores",
    unit: "short",
    lines: {
      "{{pod}} used": "metrics_worker_coresUsed_Value{$of}",
      "{{pod}} free": "metrics_worker_coresFree_Value{$of}",
    },
  },
  {
    title: "Worker memory for executors",
    unit: "bytes",
    lines: {
      "{{pod}} used": "metrics_worker_memUsed_MB_Value{$of} * 1048576",
      "{{pod}} free": "metrics_worker_memFree_MB_Value{$of} * 1048576",
    },
  },
];
