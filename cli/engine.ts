import { join } from "node:path";
import { execa } from "execa";
import { cacheDir } from "../config/paths.ts";
import {
  canBuildEngine,
  engineEnvironment,
  engineSteps,
  isEngineBuilt,
  isExpectedWarning,
} from "../local/engine/index.ts";
import { type Say, type Step, UserError } from "../local/step.ts";

/** Where Pulumi is on this machine, or how to get it. */
export type FoundPulumi = PresentPulumi | "can be installed" | "can be built";
type PresentPulumi = "on PATH" | "installed here before" | "built here before";

/** Where Pulumi's release is installed if the machine has none. */
const installed = () => join(cacheDir(), "pulumi");

type Probe = () => Promise<boolean>;

/** The first that holds. Probed in order, since the probe of the download takes time. */
export async function firstOf<Name extends string>(probes: [Name, Probe][]): Promise<Name | undefined> {
  for (const [name, holds] of probes) if (await holds()) return name;
  return undefined;
}

const answers = async (command: string) =>
  (await execa(command, ["version"], { reject: false, env: { PULUMI_SKIP_UPDATE_CHECK: "true" } })).exitCode === 0;

const present: [PresentPulumi, Probe][] = [
  ["on PATH", () => answers("pulumi")],
  ["installed here before", () => answers(join(installed(), "bin", "pulumi"))],
  ["built here before", isEngineBuilt],
];

/** Whether Pulumi's release can be downloaded. A short timeout: an offline machine should not wait long. */
const isDownloadable: Probe = () =>
  fetch("https://get.pulumi.com", { method: "HEAD", signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  );

/**
 * Finds Pulumi, or a way to get it: the user's own, then Pulumi's release, then a build.
 *
 * @throws UserError if there is none and no way to get one
 */
export async function findPulumi(): Promise<FoundPulumi> {
  const found = await firstOf<FoundPulumi>([
    ...present,
    ["can be installed", isDownloadable],
    ["can be built", canBuildEngine],
  ]);
  if (!found)
    throw new UserError(
      "no pulumi is on PATH, none can be downloaded, and there is no Go to build one with; " +
        "expected pulumi, https://www.pulumi.com/docs/install/, or Go 1.26 or newer",
    );
  return found;
}

/** The steps that install or build Pulumi if it is missing. */
export function pulumiSteps(found: FoundPulumi): Step[] {
  if (found === "can be installed") return [{ title: "Pulumi, kept in this machine's cache", run: installPulumi }];
  return found === "can be built" ? engineSteps() : [];
}

/** Pulumi on this machine. */
export interface Engine {
  /** What to add to the environment so that `pulumi` is found. */
  environment: Record<string, string>;
  /** Whether Pulumi prints this warning in every run. */
  isExpected: (warning: string) => boolean;
}

export async function presentEngine(): Promise<Engine> {
  // Only the built one: the others have Pulumi's own plugins.
  if ((await firstOf(present)) === "built here before")
    return { environment: await engineEnvironment(), isExpected: isExpectedWarning };
  return { environment: { PATH: `${process.env.PATH}:${join(installed(), "bin")}` }, isExpected: () => false };
}

/** Downloads the release that matches the SDK. */
async function installPulumi(say: Say): Promise<void> {
  say("downloading");
  const { PulumiCommand } = await import("@pulumi/pulumi/automation/index.js");
  await PulumiCommand.install({ root: installed() });
}
