import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  { title: "Up", unit: "short", lines: { up: "pg_up{$of}" } },
  {
    title: "Connections",
    unit: "short",
    lines: {
      "{{datname}}": 'pg_stat_database_numbackends{$of,datname!=""}',
      maximum: "pg_settings_max_connections{$of}",
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
  { title: "Database size", unit: "bytes", lines: { "{{datname}}": "pg_database_size_bytes{$of}" } },
  {
    title: "Buffer cache hit ratio",
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
      "deadlocks per hour": "sum(increase(pg_stat_database_deadlocks{$of}[1h]))",
    },
  },
];
