import type { Panel } from "../kit/panel.ts";

// Each server reports on the whole cluster, so the maximum is that of all of them.
export const panels: Panel[] = [
  {
    title: "Servers",
    unit: "short",
    lines: {
      online: "max(minio_cluster_nodes_online_total{$of})",
      offline: "max(minio_cluster_nodes_offline_total{$of})",
    },
  },
  {
    title: "Capacity",
    unit: "bytes",
    lines: {
      free: "max(minio_cluster_capacity_usable_free_bytes{$of})",
      total: "max(minio_cluster_capacity_usable_total_bytes{$of})",
    },
  },
  {
    title: "Requests",
    unit: "reqps",
    lines: { "{{api}}": "sum by (api) (rate(minio_s3_requests_total{$of}[5m]))" },
  },
  {
    title: "Failed requests",
    unit: "reqps",
    lines: {
      "server errors (5xx)": "sum(rate(minio_s3_requests_5xx_errors_total{$of}[5m]))",
      "client errors (4xx)": "sum(rate(minio_s3_requests_4xx_errors_total{$of}[5m]))",
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
];
