import { type ImageDefinition, linkerVariables } from "../kit/image.ts";

const operator = "github.com/cloudnative-pg/cloudnative-pg";

export const cloudnativePgImages: ImageDefinition[] = [
  {
    folder: "components/cloudnative-pg/images/cloudnative-pg",
    repositories: ["ghcr.io/cloudnative-pg/cloudnative-pg"],
    tags: /^1\.30\b/,
    software: [{ name: "CloudNativePG 1.30.0", licence: "Apache-2.0", source: "LICENSE of its Go module" }],
    holds: "CloudNativePG 1.30.0, the operator (Go module)",
    artifacts: [
      {
        kind: "go",
        package: `${operator}/cmd/manager`,
        output: "manager",
        ldflags: linkerVariables({
          [`${operator}/pkg/versions.buildCommit`]: "4b5e244a7",
          [`${operator}/pkg/versions.buildDate`]: "2026-06-29",
        }),
      },
    ],
  },
  {
    folder: "components/cloudnative-pg/images/postgresql",
    repositories: ["ghcr.io/cloudnative-pg/postgresql"],
    tags: /^17\b/,
    software: [{ name: "PostgreSQL 17", licence: "PostgreSQL", source: "Debian's copyright file" }],
    holds: "PostgreSQL 17, without JIT, as CloudNativePG runs it (Debian trixie)",
  },
];
