import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  {
    title: "Nodes",
    unit: "short",
    lines: {
      active: 'trino_metadata_name_DiscoveryNodeManager_ActiveNodeCount{$of,job=~".*coordinator"}',
      "shutting down": 'trino_metadata_name_DiscoveryNodeManager_ShuttingDownNodeCount{$of,job=~".*coordinator"}',
    },
  },
  {
    title: "Queries",
    unit: "short",
    lines: {
      running: "trino_execution_name_QueryManager_RunningQueries{$of}",
      queued: "trino_execution_name_QueryManager_QueuedQueries{$of}",
    },
  },
  {
    title: "Failed queries per hour",
    unit: "short",
    lines: {
      "user errors": "increase(trino_execution_name_QueryManager_UserErrorFailures{$of}[1h])",
      "insufficient resources": "increase(trino_execution_name_QueryManager_InsufficientResourcesFailures{$of}[1h])",
      "internal errors": "increase(trino_execution_name_QueryManager_InternalFailures{$of}[1h])",
      "external errors": "increase(trino_execution_name_QueryManager_ExternalFailures{$of}[1h])",
    },
  },
  {
    title: "Query memory",
    unit: "bytes",
    lines: {
      "{{pod}} reserved": "trino_memory_type_MemoryPool_name_general_ReservedBytes{$of}",
      "{{pod}} maximum": "trino_memory_type_MemoryPool_name_general_MaxBytes{$of}",
    },
  },
];
