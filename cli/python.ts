import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { execa, type Options } from "execa";
import { cacheDir } from "../config/paths.ts";
import { sha256 } from "../local/images/store.ts";
import { root } from "./project.ts";

/** The tests of one run, by result. */
export interface Counts {
  passed: number;
  broken: number;
  skipped: number;
}

/** The applications with Python tests: folders of `apps/` with `tests/` and what pip is to install for them. */
export const pythonApps = (): string[] =>
  readdirSync(join(root, "apps"))
    .map((name) => join(root, "apps", name))
    .filter((folder) => existsSync(join(folder, "tests")) && existsSync(join(folder, "requirements-test.txt")));

/** Runs the tests in `<folder>/tests` with pytest, from that folder, with the requirements that it names and no others. */
export async function pythonTests(folder: string): Promise<Counts> {
  const python = await findPython();
  if (!python) {
    console.log(`skipped: the tests of ${basename(folder)} need Python 3 with its venv module (Debian: python3-venv)`);
    return { passed: 0, broken: 0, skipped: 1 };
  }
  const results = mkdtempSync(join(tmpdir(), "data-platform-pytest-"));
  try {
    const environment = await virtualEnvironment(folder, python);
    const file = join(results, "results.xml");
    const args = ["-m", "pytest", "-q", "-p", "no:cacheprovider", `--junitxml=${file}`, "tests"];
    const { exitCode } = await execa(join(environment, "bin", "python"), args, {
      ...shown,
      cwd: folder,
      reject: false,
      // Nothing is written into the application's folder.
      env: { PYTHONDONTWRITEBYTECODE: "1", HYPOTHESIS_STORAGE_DIRECTORY: join(cacheDir(), "hypothesis") },
    });
    return countsOf(existsSync(file) ? readFileSync(file, "utf8") : "", exitCode === 0);
  } catch (error) {
    // The output of pip is above.
    console.log(`the tests of ${basename(folder)} could not be run: ${(error as Error).message.split("\n")[0]}`);
    return { passed: 0, broken: 1, skipped: 0 };
  } finally {
    rmSync(results, { recursive: true });
  }
}

const shown = { stdio: "inherit" } satisfies Options;

export interface Python {
  program: string;
  /** Version and path: a virtual environment depends on both. */
  identity: string;
}

/** The Python version of the images if it is installed, else the machine's default; undefined if neither has `venv`. */
export async function findPython(): Promise<Python | undefined> {
  const question = "import ensurepip, sys, venv; print(sys.version, sys.base_prefix)";
  for (const program of ["python3.13", "python3"]) {
    const { exitCode, stdout } = await execa(program, ["-c", question], { reject: false });
    if (exitCode === 0) return { program, identity: stdout };
  }
  return undefined;
}

/**
 * The virtual environment with a folder's requirements, from the cache if it exists. It is created under another name
 * and renamed when it is complete, so that an interrupted run leaves no incomplete one. Scripts in its `bin` contain
 * the old path, so only `bin/python` is used, which does not.
 */
export async function virtualEnvironment(folder: string, { program, identity }: Python): Promise<string> {
  const requirements = ["requirements.txt", "requirements-test.txt"]
    .map((name) => join(folder, name))
    .filter((file) => existsSync(file));
  const texts = requirements.map((file) => readFileSync(file, "utf8"));
  const parent = join(cacheDir(), "python");
  const target = join(parent, sha256(JSON.stringify([identity, ...texts])).slice(0, 32));
  if (existsSync(target)) return target;

  mkdirSync(parent, { recursive: true });
  const aside = mkdtempSync(join(parent, "new-"));
  try {
    await execa(program, ["-m", "venv", aside], shown);
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
    await execa(join(aside, "bin", "python"), [...install, ...requirements.flatMap((file) => ["-r", file])], shown);
    // A parallel run may have created the same one.
    if (!existsSync(target)) renameSync(aside, target);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
  return target;
}

/** The counts of pytest. A run that fails without a failed test, or finds no test, counts as one failure. */
export function countsOf(junit: string, succeeded: boolean): Counts {
  const suite = /<testsuite\b[^>]*>/.exec(junit)?.[0] ?? "";
  const number = (of: string) => Number(new RegExp(`\\b${of}="(\\d+)"`).exec(suite)?.[1] ?? 0);
  const broken = number("failures") + number("errors");
  const skipped = number("skipped");
  return {
    passed: number("tests") - broken - skipped,
    broken: succeeded ? broken : Math.max(broken, 1),
    skipped,
  };
}
