import type { ImageDefinition } from "../kit/image.ts";

export const clickhouseImages: ImageDefinition[] = [
  {
    folder: "components/clickhouse/images/clickhouse",
    repositories: ["clickhouse/clickhouse-server", "clickhouse"],
    software: [{ name: "ClickHouse", licence: "Apache-2.0", source: "Debian's copyright file" }],
    holds: "ClickHouse 18.16, eight years older than what the platform is written for (Debian bookworm)",
  },
];
