import type { Panel } from "./dashboards.ts";

/** What the servers that are made with Quarkus tell alike. */
const quarkus: Panel[] = [
  {
    title: "Memory",
    unit: "bytes",
    lines: {
      "{{pod}} heap": 'sum by (pod) (jvm_memory_used_bytes{$of,area="heap"})',
      "{{pod}} largest heap": 'sum by (pod) (jvm_memory_max_bytes{$of,area="heap"} > 0)',
    },
  },
  {
    title: "Time spent on collecting garbage",
    unit: "percentunit",
    lines: { "{{pod}}": "sum by (pod) (rate(jvm_gc_pause_seconds_sum{$of}[5m]))" },
  },
];

/** What each component's dashboard shows, by the component's name: first whether it serves, then what it may run out of. */
export const panels: Record<string, Panel[]> = {
  postgresql: [
    { title: "Answers", unit: "short", lines: { answers: "pg_up{$of}" } },
    {
      title: "Connections",
      unit: "short",
      lines: {
        "{{datname}}": 'pg_stat_database_numbackends{$of,datname!=""}',
        "at most": "pg_settings_max_connections{$of}",
      },
    },
    {
      title: "Transactions",
      unit: "ops",
      lines: {
        "{{datname}} committed": 'rate(pg_stat_database_xact_commit{$of,datname!=""}[5m])',
        "{{datname}} rolled back": 'rate(pg_stat_database_xact_rollback{$of,datname!=""}[5m])',
      },
    },
    { title: "Size of the databases", unit: "bytes", lines: { "{{datname}}": "pg_database_size_bytes{$of}" } },
    {
      title: "Blocks found in memory",
      unit: "percentunit",
      lines: {
        "{{datname}}":
          'rate(pg_stat_database_blks_hit{$of,datname!=""}[5m]) / (rate(pg_stat_database_blks_hit{$of,datname!=""}[5m]) + rate(pg_stat_database_blks_read{$of,datname!=""}[5m]))',
      },
    },
    {
      title: "Locks and deadlocks",
      unit: "short",
      lines: {
        "locks held": "sum(pg_locks_count{$of})",
        "deadlocks in an hour": "sum(increase(pg_stat_database_deadlocks{$of}[1h]))",
      },
    },
  ],

  redis: [
    { title: "Answers", unit: "short", lines: { answers: "redis_up{$of}" } },
    {
      title: "Memory",
      unit: "bytes",
      lines: { used: "redis_memory_used_bytes{$of}", "at most": "redis_memory_max_bytes{$of}" },
    },
    { title: "Commands", unit: "ops", lines: { commands: "rate(redis_commands_processed_total{$of}[5m])" } },
    { title: "Clients", unit: "short", lines: { connected: "redis_connected_clients{$of}" } },
    { title: "Keys", unit: "short", lines: { "{{db}}": "redis_db_keys{$of} > 0" } },
    {
      title: "Refused for want of memory, in an hour",
      unit: "short",
      lines: {
        "{{err}}": 'increase(redis_errors_total{$of,err="OOM"}[1h])',
        evicted: "increase(redis_evicted_keys_total{$of}[1h])",
      },
    },
  ],

  // Each server tells of them all together, so the largest stands for them.
  minio: [
    {
      title: "Servers",
      unit: "short",
      lines: {
        online: "max(minio_cluster_nodes_online_total{$of})",
        offline: "max(minio_cluster_nodes_offline_total{$of})",
      },
    },
    {
      title: "Room",
      unit: "bytes",
      lines: {
        free: "max(minio_cluster_capacity_usable_free_bytes{$of})",
        "in all": "max(minio_cluster_capacity_usable_total_bytes{$of})",
      },
    },
    {
      title: "Requests",
      unit: "reqps",
      lines: { "{{api}}": "sum by (api) (rate(minio_s3_requests_total{$of}[5m]))" },
    },
    {
      title: "Requests that failed",
      unit: "reqps",
      lines: {
        "the server's fault": "sum(rate(minio_s3_requests_5xx_errors_total{$of}[5m]))",
        "the client's fault": "sum(rate(minio_s3_requests_4xx_errors_total{$of}[5m]))",
      },
    },
    {
      title: "Traffic",
      unit: "Bps",
      lines: {
        received: "sum(rate(minio_s3_traffic_received_bytes{$of}[5m]))",
        sent: "sum(rate(minio_s3_traffic_sent_bytes{$of}[5m]))",
      },
    },
    {
      title: "Drives",
      unit: "short",
      lines: {
        online: "max(minio_cluster_drive_online_total{$of})",
        offline: "max(minio_cluster_drive_offline_total{$of})",
      },
    },
  ],

  nessie: [
    {
      title: "Requests",
      unit: "reqps",
      lines: { "{{outcome}}": "sum by (outcome) (rate(http_server_requests_seconds_count{$of}[5m]))" },
    },
    {
      title: "Time a request takes",
      unit: "s",
      lines: {
        "{{pod}}":
          "sum by (pod) (rate(http_server_requests_seconds_sum{$of}[5m])) / sum by (pod) (rate(http_server_requests_seconds_count{$of}[5m]))",
      },
    },
    {
      title: "Versions asked for",
      unit: "ops",
      lines: { "{{method}}": "sum by (method) (rate(nessie_versionstore_request_seconds_count{$of}[5m]))" },
    },
    ...quarkus,
  ],

  kafka: [
    {
      title: "Brokers",
      unit: "short",
      lines: {
        brokers: "max(kafka_KafkaController_ActiveBrokerCount{$of})",
        "controllers that lead": "sum(kafka_KafkaController_ActiveControllerCount{$of})",
      },
    },
    {
      title: "Messages written",
      unit: "ops",
      lines: { "{{topic}}": "sum by (topic) (rate(kafka_topic_MessagesIn_total{$of}[5m]))" },
    },
    {
      title: "Traffic",
      unit: "Bps",
      lines: {
        written: "sum(rate(kafka_broker_BytesIn_total{$of}[5m]))",
        read: "sum(rate(kafka_broker_BytesOut_total{$of}[5m]))",
      },
    },
    {
      title: "Partitions",
      unit: "short",
      lines: {
        "with too few copies": "sum(kafka_ReplicaManager_UnderReplicatedPartitions{$of})",
        "without a leader": "max(kafka_KafkaController_OfflinePartitionsCount{$of})",
        "that {{pod}} leads": "kafka_ReplicaManager_LeaderCount{$of}",
      },
    },
    {
      title: "Time that 99 of 100 requests take at most",
      unit: "s",
      lines: { "{{request}}": 'max by (request) (kafka_request_milliseconds{$of,quantile="0.99"}) / 1000' },
    },
  ],

  "schema-registry": [
    {
      title: "Requests",
      unit: "reqps",
      lines: { "{{status_code_group}}": "sum by (status_code_group) (rate(rest_requests_seconds_count{$of}[5m]))" },
    },
    {
      title: "Time a request takes",
      unit: "s",
      lines: {
        "{{pod}}":
          "sum by (pod) (rate(rest_requests_seconds_sum{$of}[5m])) / sum by (pod) (rate(rest_requests_seconds_count{$of}[5m]))",
      },
    },
    {
      title: "What fails in its storage",
      unit: "ops",
      lines: { "{{method}}": 'rate(storage_method_call_seconds_count{$of,success="false"}[5m]) > 0' },
    },
    ...quarkus,
  ],

  clickhouse: [
    { title: "Queries that run", unit: "short", lines: { queries: "ClickHouseMetrics_Query{$of}" } },
    {
      title: "Queries",
      unit: "ops",
      lines: {
        done: "rate(ClickHouseProfileEvents_Query{$of}[5m])",
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
    { title: "Components of tables", unit: "short", lines: { active: "ClickHouseMetrics_PartsActive{$of}" } },
    {
      title: "Merges that run",
      unit: "short",
      lines: { merges: "ClickHouseMetrics_Merge{$of}" },
    },
  ],

  trino: [
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
      title: "Queries that failed, in an hour",
      unit: "short",
      lines: {
        "the user's fault": "increase(trino_execution_name_QueryManager_UserErrorFailures{$of}[1h])",
        "want of memory and the like":
          "increase(trino_execution_name_QueryManager_InsufficientResourcesFailures{$of}[1h])",
        "Trino's own": "increase(trino_execution_name_QueryManager_InternalFailures{$of}[1h])",
        "another system's": "increase(trino_execution_name_QueryManager_ExternalFailures{$of}[1h])",
      },
    },
    {
      title: "Memory of queries",
      unit: "bytes",
      lines: {
        "{{pod}} taken": "trino_memory_type_MemoryPool_name_general_ReservedBytes{$of}",
        "{{pod}} at most": "trino_memory_type_MemoryPool_name_general_MaxBytes{$of}",
      },
    },
  ],

  flink: [
    {
      title: "Jobs and TaskManagers",
      unit: "short",
      lines: {
        "jobs that run": "max(flink_jobmanager_numRunningJobs{$of})",
        TaskManagers: "max(flink_jobmanager_numRegisteredTaskManagers{$of})",
      },
    },
    {
      title: "Slots",
      unit: "short",
      lines: {
        free: "max(flink_jobmanager_taskSlotsAvailable{$of})",
        "in all": "max(flink_jobmanager_taskSlotsTotal{$of})",
      },
    },
    {
      title: "Checkpoints",
      unit: "s",
      lines: { "{{job_name}} took": "flink_jobmanager_job_lastCheckpointDuration{$of} / 1000" },
    },
    {
      title: "Checkpoints that failed",
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
      title: "Restarts of jobs",
      unit: "short",
      lines: { "{{job_name}}": "flink_jobmanager_job_numRestarts{$of}" },
    },
  ],

  spark: [
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
      title: "Cores of the workers",
      unit: "short",
      lines: {
        "{{pod}} used": "metrics_worker_coresUsed_Value{$of}",
        "{{pod}} free": "metrics_worker_coresFree_Value{$of}",
      },
    },
    {
      title: "Memory of the workers for executors",
      unit: "bytes",
      lines: {
        "{{pod}} used": "metrics_worker_memUsed_MB_Value{$of} * 1048576",
        "{{pod}} free": "metrics_worker_memFree_MB_Value{$of} * 1048576",
      },
    },
  ],

  airflow: [
    {
      title: "Heartbeats",
      unit: "ops",
      lines: { scheduler: "rate(airflow_scheduler_heartbeat{$of}[5m])" },
    },
    {
      title: "Tasks that ended",
      unit: "ops",
      lines: { "{{state}}": "sum by (state) (rate(airflow_ti_finish{$of}[5m]))" },
    },
    {
      title: "Tasks",
      unit: "short",
      lines: {
        running: "airflow_executor_running_tasks{$of}",
        queued: "airflow_executor_queued_tasks{$of}",
        "slots that are free": "airflow_executor_open_slots{$of}",
      },
    },
    {
      title: "DAGs",
      unit: "short",
      lines: {
        "files that were read": "airflow_dagbag_size{$of}",
        "files with errors": "airflow_dag_processing_import_errors{$of}",
      },
    },
  ],

  superset: [
    { title: "Health checks that were answered", unit: "ops", lines: { web: "rate(superset_health{$of}[5m])" } },
    {
      title: "Tasks that were due and done",
      unit: "ops",
      lines: { "beat and worker": "rate(superset_reports_scheduler{$of}[5m])" },
    },
    {
      title: "Calls of the API",
      unit: "ops",
      lines: {
        "{{api}} {{result}}": "sum by (api, result) (rate(superset_api_calls{$of}[5m]))",
      },
    },
    {
      title: "Time that a query of SQL Lab takes",
      unit: "s",
      lines: {
        waits: 'superset_sqllab_query_time_pending{$of,quantile="0.9"}',
        runs: 'superset_sqllab_query_time_executing_query{$of,quantile="0.9"}',
      },
    },
  ],
};
