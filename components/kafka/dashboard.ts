import type { Panel } from "../kit/panel.ts";

export const panels: Panel[] = [
  {
    title: "Brokers",
    unit: "short",
    lines: {
      brokers: "max(kafka_KafkaController_ActiveBrokerCount{$of})",
      "active controllers": "sum(kafka_KafkaController_ActiveControllerCount{$of})",
    },
  },
  {
    title: "Messages in",
    unit: "ops",
    lines: { "{{topic}}": "sum by (topic) (rate(kafka_topic_MessagesIn_total{$of}[5m]))" },
  },
  {
    title: "Traffic",
    unit: "Bps",
    lines: {
      "bytes in": "sum(rate(kafka_broker_BytesIn_total{$of}[5m]))",
      "bytes out": "sum(rate(kafka_broker_BytesOut_total{$of}[5m]))",
    },
  },
  {
    title: "Partitions",
    unit: "short",
    lines: {
      "under-replicated": "sum(kafka_ReplicaManager_UnderReplicatedPartitions{$of})",
      offline: "max(kafka_KafkaController_OfflinePartitionsCount{$of})",
      "led by {{pod}}": "kafka_ReplicaManager_LeaderCount{$of}",
    },
  },
  {
    title: "Request duration, 99th percentile",
    unit: "s",
    lines: { "{{request}}": 'max by (request) (kafka_request_milliseconds{$of,quantile="0.99"}) / 1000' },
  },
];
