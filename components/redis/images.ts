import type { ImageDefinition } from "../kit/image.ts";

export const redisImages: ImageDefinition[] = [
  {
    folder: "components/redis/images/redis",
    repositories: ["redis"],
    tags: /^8\b/,
    software: [{ name: "Redis 8", licence: "AGPL-3.0-only OR SSPL-1.0 OR RSALv2", source: "redis.io/legal/licenses" }],
    holds: "Redis 8.0, without modules (Debian trixie)",
  },
];
