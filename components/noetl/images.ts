import { type ImageDefinition, linkerVariables } from "../kit/image.ts";

export const noetlImages: ImageDefinition[] = [
  {
    folder: "apps/noetl",
    repositories: ["data-platform/noetl"],
    own: true,
    tagAs: "VERSION",
    holds: "NoETL at the version of its tag, on Python 3.13 (PyPI)",
  },
  {
    folder: "components/noetl/images/nats",
    repositories: ["nats"],
    // Variants based on a distribution have a shell, and this image has none.
    tags: /^2\.12[.\d]*$/,
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
