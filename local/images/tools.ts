import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { type Say, type Step, UserError } from "../step.ts";
import { run } from "./run.ts";

/** Programs a build needs, with the Debian package each comes from. */
const packages: Record<string, string> = {
  buildah: "buildah",
  mmdebstrap: "mmdebstrap",
  unshare: "util-linux",
  setpriv: "util-linux",
  flock: "util-linux",
};

export async function isInstalled(program: string): Promise<boolean> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const found = await access(join(folder, program), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

/** The packages that are missing on this machine. */
export async function missingPackages(): Promise<string[]> {
  const missing = new Set<string>();
  for (const [program, name] of Object.entries(packages)) if (!(await isInstalled(program))) missing.add(name);
  return [...missing];
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
  const missing = await missingPackages();
  if (!missing.length) return;
  if (!(await isInstalled("apt-get"))) {
    throw new UserError(
      `Images are built by ${missing.join(", ")}, missing here. Install them with the package manager.`,
    );
  }
  const apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"];
  const install = () =>
    run(say, [...apt, "install", "-y", "--no-install-recommends", ...missing], {
      show: (line) => /^(Get:|Unpacking|Setting up)/.exec(line)?.input,
      hint: `Install them by hand: apt-get install ${missing.join(" ")}`,
    });
  say(`apt-get install ${missing.join(" ")}`);
  await run(say, [...apt, "update"]);
  try {
    await install();
  } catch {
    // Another apt-get on the machine may have emptied the shared package cache under ours, half way.
    await run(say, ["dpkg", "--configure", "-a"]);
    await install();
  }
}

export const toolsStep = (needed: () => Promise<boolean>): Step => ({
  title: "Tools that build images",
  skip: async () => {
    if (!(await needed())) return "no image has to be built";
    return (await missingPackages()).length ? false : "installed";
  },
  run: installTools,
});
