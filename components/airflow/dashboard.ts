import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  {
    title: "Heartbeats",
    unit: "ops",
    lines: { scheduler: "rate(airflow_scheduler_heartbeat{$of}[5m])" },
  },
  {
    title: "Finished tasks",
    unit: "ops",
    lines: { "{{state}}": "sum by (state) (rate(airflow_ti_finish{$of}[5m]))" },
  },
  {
    title: "Tasks",
    unit: "short",
    lines: {
      running: "airflow_executor_running_tasks{$of}",
      queued: "airflow_executor_queued_tasks{$of}",
      "open slots": "airflow_executor_open_slots{$of}",
    },
  },
  {
    title: "DAGs",
    unit: "short",
    lines: {
      found: "airflow_dagbag_size{$of}",
      "import errors": "airflow_dag_processing_import_errors{$of}",
    },
  },
];
