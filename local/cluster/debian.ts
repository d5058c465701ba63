import { execa } from "execa";
import { type Say, UserError } from "../step.ts";

/** On a distribution of another family everything passes as installed: what is missing shows where it is needed. */
async function installed(name: string): Promise<boolean> {
  const { stdout, code } = await execa("dpkg-query", ["--status", name], { reject: false });
  return code === "ENOENT" || /^Status: .* ok installed$/m.test(stdout ?? "");
}

/** apt-get works for one at a time; the cluster and the images, made at once, both ask for packages. */
let previous: Promise<void> = Promise.resolve();

/** Installs the packages that are missing; `packages` says of each why it is needed, and the user is told. */
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
  // A fresh machine has no package lists; one that has them need not fetch them again.
  let result = await apt(...wanted);
  if (result.failed) {
    await apt("update");
    result = await apt(...wanted);
  }
  if (!result.failed) return;
  const last = (result.all ?? "").split("\n").slice(-5).join("\n");
  throw new UserError(`These packages are needed, and could not be installed:\n${why}\n${last}`);
}
