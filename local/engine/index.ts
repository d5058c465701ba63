import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Binaries, buildStep, builtDir } from "../go.ts";
import type { Step } from "../step.ts";

/**
 * Pulumi for a machine that has none and cannot download it: the command and the Kubernetes provider, built from Go
 * modules. They need different versions of Pulumi's packages; their other dependencies are the same, so they are
 * compiled once. The command is built whole: most of its dependencies are for state backends in clouds, and required
 * packages import them.
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

/** The steps that build the engine into the cache; each is skipped if its result exists. */
export const engineSteps = (): Step[] => Object.entries(groups).map(([name, group]) => buildStep(name, group));

export const canBuildEngine = async (): Promise<boolean> =>
  (await execa("go", ["version"], { reject: false })).exitCode === 0;

const directories = () => Promise.all(Object.entries(groups).map(([name, group]) => builtDir(name, group)));

/** Its path in the cache depends on the version of Go: without a suitable Go it counts as not built. */
export const isEngineBuilt = (): Promise<boolean> =>
  directories().then(
    (all) => all.every((directory) => existsSync(directory)),
    () => false,
  );

/** What to add to the environment so that `pulumi` is the built one, with the plugins of this checkout. */
export const engineEnvironment = async (): Promise<Record<string, string>> => ({
  PATH: [...(await directories()), join(import.meta.dirname, "bin"), process.env.PATH].join(":"),
  // Other plugins cannot be downloaded: fail at once.
  PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
  // The built Kubernetes provider is older than the provider's argument `enablePatchForce`, which the program sets.
  // Without it, an object that a killed run was creating is refused: each run applies under a name of its own.
  PULUMI_K8S_ENABLE_PATCH_FORCE: "true",
});

/**
 * Whether Pulumi prints this warning in every run of the built engine: plugins from PATH, and an older Kubernetes
 * provider.
 */
export const isExpectedWarning = (text: string): boolean =>
  /^(using pulumi-\S+ from \$PATH|resource plugin kubernetes is expected to have version)/.test(text);
