import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  { title: "Up", unit: "short", lines: { up: "redis_up{$of}" } },
  {
    title: "Memory",
    unit: "bytes",
    lines: { used: "redis_memory_used_bytes{$of}", maximum: "redis_memory_max_bytes{$of}" },
  },
  { title: "Commands", unit: "ops", lines: { commands: "rate(redis_commands_processed_total{$of}[5m])" } },
  { title: "Clients", unit: "short", lines: { connected: "redis_connected_clients{$of}" } },
  { title: "Keys", unit: "short", lines: { "{{db}}": "redis_db_keys{$of} > 0" } },
  {
    title: "Out-of-memory errors and evictions per hour",
    unit: "short",
    lines: {
      "{{err}}": 'increase(redis_errors_total{$of,err="OOM"}[1h])',
      evicted: "increase(redis_evicted_keys_total{$of}[1h])",
    },
  },
];
