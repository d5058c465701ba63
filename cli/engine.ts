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

/** A pulumi that is on this machine, or how it can come here. */
export type FoundPulumi = PresentPulumi | "can be installed" | "can be built";
type PresentPulumi = "on PATH" | "installed here before" | "built here before";

/** Where Pulumi's release goes when the machine has none. */
const installed = () => join(cacheDir(), "pulumi");

type Probe = () => Promise<boolean>;

/** The first that holds. A later one is not asked before: asking for a download takes time. */
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

/** Where a download would come from; a machine that cannot reach it should not wait for long to learn that. */
const isDownloadable: Probe = () =>
  fetch("https://get.pulumi.com", { method: "HEAD", signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  );

/**
 * The pulumi of this machine, or how it can come here: the user's own, then Pulumi's release, then a build.
 *
 * @throws UserError where there is none and none can come
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

/** What brings a pulumi here that is not here yet. */
export function pulumiSteps(found: FoundPulumi): Step[] {
  if (found === "can be installed") return [{ title: "Pulumi, kept in this machine's cache", run: installPulumi }];
  return found === "can be built" ? engineSteps() : [];
}

/** The pulumi that is on this machine now. */
export interface Engine {
  /** What to add to the environment so that `pulumi` is that one. */
  environment: Record<string, string>;
  /** Warnings of it that say nothing new. */
  isExpected: (warning: string) => boolean;
}

export async function presentEngine(): Promise<Engine> {
  // Not for the others: their plugins are Pulumi's own.
  if ((await firstOf(present)) === "built here before")
    return { environment: await engineEnvironment(), isExpected: isExpectedWarning };
  return { environment: { PATH: `${process.env.PATH}:${join(installed(), "bin")}` }, isExpected: () => false };
}

/** Downloads the release that the SDK fits to. */
async function installPulumi(say: Say): Promise<void> {
  say("downloading");
  const { PulumiCommand } = await import("@pulumi/pulumi/automation/index.js");
  await PulumiCommand.install({ root: installed() });
}
