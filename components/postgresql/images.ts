import type { ImageDefinition } from "../kit/image.ts";

export const postgresqlImages: ImageDefinition[] = [
  {
    folder: "components/postgresql/images/postgres",
    repositories: ["postgres"],
    // The tag's major version decides where the data is, so version 17 must not replace an image of version 18.
    tags: /^17\b/,
    software: [{ name: "PostgreSQL 17", licence: "PostgreSQL", source: "Debian's copyright file" }],
    holds: "PostgreSQL 17, without JIT (Debian trixie)",
  },
];
