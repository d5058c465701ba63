import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  {
    title: "Jobs and TaskManagers",
    unit: "short",
    lines: {
      "running jobs": "max(flink_jobmanager_numRunningJobs{$of})",
      TaskManagers: "max(flink_jobmanager_numRegisteredTaskManagers{$of})",
    },
  },
  {
    title: "Slots",
    unit: "short",
    lines: {
      free: "max(flink_jobmanager_taskSlotsAvailable{$of})",
      total: "max(flink_jobmanager_taskSlotsTotal{$of})",
    },
  },
  {
    title: "Duration of the last checkpoint",
    unit: "s",
    lines: { "{{job_name}}": "flink_jobmanager_job_lastCheckpointDuration{$of} / 1000" },
  },
  {
    title: "Failed checkpoints",
    unit: "short",
    lines: { "{{job_name}}": "flink_jobmanager_job_numberOfFailedCheckpoints{$of}" },
  },
  {
    title: "Heap",
    unit: "bytes",
    lines: {
      "{{pod}}": '{__name__=~"flink_(job|task)manager_Status_JVM_Memory_Heap_Used",$of}',
    },
  },
  {
    title: "Job restarts",
    unit: "short",
    lines: { "{{job_name}}": "flink_jobmanager_job_numRestarts{$of}" },
  },
];
