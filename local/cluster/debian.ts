import { execa } from "execa";
import { type Say, UserError } from "../step.ts";

/** On a distribution without dpkg every package counts as installed: the program that needs a missing one fails. */
async function installed(name: string): Promise<boolean> {
  const { stdout, code } = await execa("dpkg-query", ["--status", name], { reject: false });
  return code === "ENOENT" || /^Status: .* ok installed$/m.test(stdout ?? "");
}

/** apt-get runs once at a time; the cluster and the images are made in parallel, and both install packages. */
let previous: Promise<void> = Promise.resolve();

/** Installs the packages that are missing; `packages` has the reason for each, which an error repeats. */
export function debianPackages(packages: Record<string, string>, say: Say): Promise<void> {
  const mine = previous.then(() => install(packages, say));
  previous = mine.catch(() => {});
  return mine;
}

async function install(packages: Record<string, string>, say: Say): Promise<void> {
  const missing: string[] = [];
  for (const name of Object.keys(packages)) if (!(await installed(name))) missing.push(name);
  if (missing.length === 0) return;
  const why = missing.map((name) => `  ${name}: ${packages[name]}`).join("\n");
  const apt = (...args: string[]) =>
    execa("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...args], {
      env: { DEBIAN_FRONTEND: "noninteractive" },
      reject: false,
      all: true,
    });
  say(`installing Debian packages: ${missing.join(", ")}`);
  const wanted = ["install", "-y", "--no-install-recommends", ...missing];
  // Only a fresh machine has no package lists yet.
  let result = await apt(...wanted);
  if (result.failed) {
    await apt("update");
    result = await apt(...wanted);
  }
  if (!result.failed) return;
  const last = (result.all ?? "").split("\n").slice(-5).join("\n");
  throw new UserError(`These packages are needed, and could not be installed:\n${why}\n${last}`);
}
