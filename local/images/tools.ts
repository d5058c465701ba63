import { execa } from "execa";
import which from "which";
import { debianPackages } from "../cluster/debian.ts";
import { type Say, type Step, UserError } from "../step.ts";

/** Programs that a build needs, each from the Debian package of the same name, with its purpose. */
const programs = {
  buildah: "builds images from Dockerfiles, without a daemon",
  mmdebstrap: "makes the base of all images from Debian's packages",
};

/** Whether a program is on PATH. */
export const isInstalled = async (program: string): Promise<boolean> =>
  (await which(program, { nothrow: true })) !== null;

/** The version of buildah on this machine, such as 1.28.2; undefined if it is not installed. */
export async function buildahVersion(): Promise<string | undefined> {
  const { stdout } = await execa("buildah", ["--version"], { reject: false });
  return /(\d+\.\d+\.\d+)/.exec(stdout ?? "")?.[1];
}

/** Those of `programs` that are not on PATH. */
async function missingPrograms(): Promise<Record<string, string>> {
  const all = Object.entries(programs);
  const installed = await Promise.all(all.map(([name]) => isInstalled(name)));
  return Object.fromEntries(all.filter((_, i) => !installed[i]));
}

/** Throws a UserError unless this is Linux and the user is root: a build uses chroot and mounts file systems. */
export function assertCanBuild(): void {
  if (process.platform === "linux" && process.getuid?.() === 0) return;
  throw new UserError(
    "Images can be made from packages on Linux as root only. " +
      "Run this as root, or on a machine that reaches an image registry (PLATFORM_IMAGES=pull takes that as given).",
  );
}

/** Installs the missing programs. */
export async function installTools(say: Say): Promise<void> {
  assertCanBuild();
  await debianPackages(await missingPrograms(), say);
}

/** The step that installs them, if an image has to be built. */
export const toolsStep = (needed: () => Promise<boolean>): Step => ({
  title: "Tools that build images",
  skip: async () => {
    if (!(await needed())) return "no image has to be built";
    return Object.keys(await missingPrograms()).length > 0 ? false : "installed";
  },
  run: installTools,
});
