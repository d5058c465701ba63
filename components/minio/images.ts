import { type ImageDefinition, linkerVariables } from "../kit/image.ts";

const server = "github.com/minio/minio";
const client = "github.com/minio/mc";
const serverRelease = "RELEASE.2025-09-07T16-13-09Z";
const clientRelease = "DEVELOPMENT.2025-03-13T08-02-18Z";

export const minioImages: ImageDefinition[] = [
  {
    folder: "components/minio/images/minio",
    repositories: ["quay.io/minio/minio", "minio/minio"],
    software: [
      { name: "MinIO RELEASE.2025-09-07T16-13-09Z", licence: "AGPL-3.0-or-later", source: "LICENSE of its Go module" },
      { name: "mc, its client", licence: "AGPL-3.0-or-later", source: "LICENSE of its Go module" },
    ],
    holds: `MinIO ${serverRelease}, mc ${clientRelease} (Go modules)`,
    artifacts: [
      {
        kind: "go",
        package: server,
        output: "minio",
        ldflags: linkerVariables({
          [`${server}/cmd.Version`]: "2025-09-07T16:13:09Z",
          [`${server}/cmd.ReleaseTag`]: serverRelease,
          [`${server}/cmd.CommitID`]: "07c3a429bfed433e49018cb0f78a52145d4bedeb",
          [`${server}/cmd.ShortCommitID`]: "07c3a429bfed",
          [`${server}/cmd.CopyrightYear`]: "2025",
        }),
      },
      {
        kind: "go",
        package: client,
        output: "mc",
        ldflags: linkerVariables({
          [`${client}/cmd.Version`]: "2025-03-13T08:02:18Z",
          [`${client}/cmd.ReleaseTag`]: clientRelease,
          [`${client}/cmd.CommitID`]: "cf909e1063a9",
          [`${client}/cmd.ShortCommitID`]: "cf909e1063a9",
          [`${client}/cmd.CopyrightYear`]: "2025",
        }),
      },
    ],
  },
];
