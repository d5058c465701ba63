import type { ImageDefinition } from "../kit/image.ts";

export const clickhouseImages: ImageDefinition[] = [
  {
    folder: "components/clickhouse/images/clickhouse",
    repositories: ["clickhouse/clickhouse-server", "clickhouse"],
    holds: "ClickHouse 18.16, eight years older than what the platform is written for (Debian bookworm)",
  },
];
