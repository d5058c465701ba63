import type { ImageDefinition } from "../kit/image.ts";

export const redisImages: ImageDefinition[] = [
  {
    folder: "components/redis/images/redis",
    repositories: ["redis"],
    tags: /^8\b/,
    holds: "Redis 8.0, without modules (Debian trixie)",
  },
];
