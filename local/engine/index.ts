import { join } from "node:path";
import { type Binaries, buildStep, builtDir } from "../go.ts";

const pulumiVersion = "v3.274.1";
const provider = "github.com/pulumi/pulumi-kubernetes/provider/v4";

export const binaries = {
  dir: join(import.meta.dirname, "go"),
  title: "Pulumi",
  binaries: {
    pulumi: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    "pulumi-resource-kubernetes": "./kubernetes",
  },
  files: { "schema.json": `${provider}/cmd/pulumi-resource-kubernetes` },
  stamp: `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${pulumiVersion}`,
} satisfies Binaries;

export const engineStep = () => buildStep("pulumi", binaries);
export const engineDir = () => builtDir("pulumi", binaries);
