import { execa } from "execa";
import which from "which";
import { debianPackages } from "../cluster/debian.ts";
import { type Say, type Step, UserError } from "../step.ts";

/** Programs a build needs, each from the Debian package of its name, with what it is for. */
const programs = {
  buildah: "builds images from Dockerfiles, without a daemon",
  mmdebstrap: "makes the base of all images from Debian's packages",
};

/** Whether a program is on PATH. */
export const isInstalled = async (program: string): Promise<boolean> =>
  (await which(program, { nothrow: true })) !== null;

/** The version of buildah on this machine, such as 1.28.2. Undefined where it is not installed yet. */
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

/** Building changes roots and mounts file systems: that takes Linux, and root. */
export function assertCanBuild(): void {
  if (process.platform === "linux" && process.getuid?.() === 0) return;
  throw new UserError(
    "Images can be made from packages on Linux as root only. " +
      "Run this as root, or on a machine that reaches an image registry (PLATFORM_IMAGES=pull takes that as given).",
  );
}

/** Installs what building images takes and this machine lacks. */
export async function installTools(say: Say): Promise<void> {
  assertCanBuild();
  await debianPackages(await missingPrograms(), say);
}

/** The step that does so, where anything has to be built at all. */
export const toolsStep = (needed: () => Promise<boolean>): Step => ({
  title: "Tools that build images",
  skip: async () => {
    if (!(await needed())) return "no image has to be built";
    return Object.keys(await missingPrograms()).length > 0 ? false : "installed";
  },
  run: installTools,
});
