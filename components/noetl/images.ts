import { type ImageDefinition, linkerVariables } from "../kit/image.ts";

export const noetlImages: ImageDefinition[] = [
  {
    folder: "apps/noetl",
    repositories: ["data-platform/noetl"],
    own: true,
    tagAs: "VERSION",
    software: [{ name: "NoETL", licence: "MIT", source: "its package on PyPI" }],
    holds: "NoETL at the version of its tag, on Python 3.13 (PyPI)",
  },
  {
    folder: "components/noetl/images/nats",
    repositories: ["nats"],
    // Variants based on a distribution have a shell, and this image has none.
    tags: /^2\.12[.\d]*$/,
    software: [{ name: "NATS 2.12.15", licence: "Apache-2.0", source: "LICENSE of its Go module" }],
    holds: "NATS 2.12.15 (Go module)",
    artifacts: [
      {
        kind: "go",
        package: "github.com/nats-io/nats-server/v2",
        output: "nats-server",
        ldflags: linkerVariables({ "github.com/nats-io/nats-server/v2/server.serverVersion": "2.12.15" }),
      },
    ],
  },
];
