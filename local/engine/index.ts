import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Binaries, buildStep, builtDir } from "../go.ts";
import type { Step } from "../step.ts";

/**
 * Pulumi for a machine that has none and cannot download one: its command and its Kubernetes provider are built from Go
 * modules. One module pins both, so that what they share is compiled once. The whole command is built: most of what it
 * compiles is for the clouds that can keep its state, and the packages it cannot do without import it.
 */
export const binaries = {
  dir: join(import.meta.dirname, "go"),
  title: "Pulumi",
  binaries: {
    pulumi: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    "pulumi-resource-kubernetes": "./kubernetes",
  },
  files: { "schema.json": "github.com/pulumi/pulumi-kubernetes/provider/v4/cmd/pulumi-resource-kubernetes" },
  stamp: "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.274.1",
} satisfies Binaries;

const name = "pulumi";

/** Leaves the engine in the cache; skipped where it already is. */
export const engineStep = (): Step => buildStep(name, binaries);

export const canBuildEngine = async (): Promise<boolean> =>
  (await execa("go", ["version"], { reject: false })).exitCode === 0;

/** Where it is in the cache depends on the Go that builds it: without a fitting one it counts as not built. */
export const isEngineBuilt = (): Promise<boolean> => builtDir(name, binaries).then(existsSync, () => false);

/** What to add to the environment of a `pulumi` so that it is the built one, with the plugins of this checkout. */
export const engineEnvironment = async (): Promise<Record<string, string>> => ({
  PATH: [await builtDir(name, binaries), join(import.meta.dirname, "bin"), process.env.PATH].join(":"),
  // There is nowhere to get another plugin from: say so at once.
  PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
});
