import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Binaries, buildStep, builtDir } from "../go.ts";
import type { Step } from "../step.ts";

/**
 * Pulumi for a machine that has none and cannot download one: its command and its Kubernetes provider are built from Go
 * modules. They need different versions of Pulumi's own packages; of everything else both have the same, so that it is
 * compiled once. The whole command is built: most of what it compiles is for the clouds that can keep its state, and the
 * packages it cannot do without import it.
 */
export const groups = {
  pulumi: {
    dir: join(import.meta.dirname, "go", "pulumi"),
    binaries: { pulumi: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi" },
    stamp: "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.274.1",
  },
  "kubernetes-provider": {
    dir: join(import.meta.dirname, "go", "kubernetes"),
    title: "Pulumi's Kubernetes provider",
    binaries: { "pulumi-resource-kubernetes": "./provider" },
    files: { "schema.json": "github.com/pulumi/pulumi-kubernetes/provider/v4/cmd/pulumi-resource-kubernetes" },
  },
} satisfies Record<string, Binaries>;

/** Leave the engine in the cache; each is skipped if it already is there. */
export const engineSteps = (): Step[] => Object.entries(groups).map(([name, group]) => buildStep(name, group));

export const canBuildEngine = async (): Promise<boolean> =>
  (await execa("go", ["version"], { reject: false })).exitCode === 0;

const directories = () => Promise.all(Object.entries(groups).map(([name, group]) => builtDir(name, group)));

/** Where it is in the cache depends on the Go that builds it: without a fitting one it counts as not built. */
export const isEngineBuilt = (): Promise<boolean> =>
  directories().then(
    (all) => all.every((directory) => existsSync(directory)),
    () => false,
  );

/** What to add to the environment of a `pulumi` so that it is the built one, with the plugins of this checkout. */
export const engineEnvironment = async (): Promise<Record<string, string>> => ({
  PATH: [...(await directories()), join(import.meta.dirname, "bin"), process.env.PATH].join(":"),
  // There is nowhere to get another plugin from: say so at once.
  PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
});

/** What Pulumi says of the built engine in every run: that its plugins are the ones on PATH, and how old the one for Kubernetes is. */
export const isExpectedWarning = (text: string): boolean =>
  /^(using pulumi-\S+ from \$PATH|resource plugin kubernetes is expected to have version)/.test(text);
