import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { execa, type Options } from "execa";
import { cacheDir } from "../config/paths.ts";
import { sha256 } from "../local/images/store.ts";
import { root } from "./project.ts";

/** How many tests of one run did what. */
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
      env: { PYTHONDONTWRITEBYTECODE: "1" },
    });
    return countsOf(existsSync(file) ? readFileSync(file, "utf8") : "", exitCode === 0);
  } catch (error) {
    // What pip printed stands above.
    console.log(`the tests of ${basename(folder)} could not be run: ${(error as Error).message.split("\n")[0]}`);
    return { passed: 0, broken: 1, skipped: 0 };
  } finally {
    rmSync(results, { recursive: true });
  }
}

const shown = { stdio: "inherit" } satisfies Options;

interface Python {
  program: string;
  /** Version and place: a virtual environment belongs to both. */
  identity: string;
}

/** The Python that our images have, where this machine has it, else its own; undefined where neither has `venv`. */
async function findPython(): Promise<Python | undefined> {
  const question = "import ensurepip, sys, venv; print(sys.version, sys.base_prefix)";
  for (const program of ["python3.13", "python3"]) {
    const { exitCode, stdout } = await execa(program, ["-c", question], { reject: false });
    if (exitCode === 0) return { program, identity: stdout };
  }
  return undefined;
}

/**
 * The virtual environment for what a folder requires, from the cache if it was made before. It is made beside its
 * place and moved there when it is complete, so that an interrupted run leaves nothing that looks complete. Its
 * programs know the path that they were installed at: what is run is its `bin/python`, which does not.
 */
async function virtualEnvironment(folder: string, { program, identity }: Python): Promise<string> {
  const requirements = ["requirements.txt", "requirements-test.txt"]
    .map((name) => join(folder, name))
    .filter((file) => existsSync(file));
  const texts = requirements.map((file) => readFileSync(file, "utf8"));
  const parent = join(cacheDir(), "python");
  const place = join(parent, sha256(JSON.stringify([identity, ...texts])).slice(0, 32));
  if (existsSync(place)) return place;

  mkdirSync(parent, { recursive: true });
  const aside = mkdtempSync(join(parent, "new-"));
  try {
    await execa(program, ["-m", "venv", aside], shown);
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
    await execa(join(aside, "bin", "python"), [...install, ...requirements.flatMap((file) => ["-r", file])], shown);
    // Another run may have been quicker: what it made is the same.
    if (!existsSync(place)) renameSync(aside, place);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
  return place;
}

/** What pytest counted. A run that failed without a test that did, or that found no test, has failed. */
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
