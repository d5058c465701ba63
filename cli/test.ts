import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { execa } from "execa";
import { UserError } from "../local/step.ts";
import { root } from "./project.ts";
import { type Counts, pythonApps, pythonTests } from "./python.ts";

/** Runs everything that needs no cluster: types, lint, and the tests of the program, its tools and its applications. */
export async function test(): Promise<void> {
  const failed: string[] = [];
  for (const check of ["typecheck", "lint"]) {
    console.log(`\n${check}`);
    const { exitCode } = await execa("npm", ["run", "--silent", check], { cwd: root, stdio: "inherit", reject: false });
    if (exitCode !== 0) failed.push(check);
  }
  const runs = [await vitest(["unit", "program"])];
  for (const app of pythonApps()) {
    console.log(`\n${relative(root, app)}`);
    runs.push(await pythonTests(app));
  }
  console.log("\napps/deployd");
  runs.push(await typescriptTests(join(root, "apps/deployd")));
  const sum = (of: keyof Counts) => runs.reduce((total, counts) => total + counts[of], 0);
  const [passed, broken, skipped] = [sum("passed"), sum("broken"), sum("skipped")];
  if (failed.length > 0) console.log(`failed: ${failed.join(", ")}`);
  console.log(`${passed} passed, ${broken + failed.length} failed, ${skipped} skipped`);
  if (broken + failed.length > 0) throw new UserError("the tests failed");
}

/**
 * Checks types and runs tests of an application with its own dependencies, which are installed if its lock file has
 * changed.
 */
async function typescriptTests(folder: string): Promise<Counts> {
  const lock = join(folder, "package-lock.json");
  // Written last, so an incomplete installation does not have it.
  const installed = join(folder, "node_modules/.installed");
  const read = (file: string) => {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return undefined;
    }
  };
  if (read(installed) !== read(lock)) {
    console.log("installing its node modules");
    rmSync(installed, { force: true });
    await execa("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder, stdio: "inherit" });
    copyFileSync(lock, installed);
  }
  const types = await execa("npm", ["run", "--silent", "typecheck"], { cwd: folder, stdio: "inherit", reject: false });
  const tests = await vitest([], {}, folder);
  return types.exitCode === 0 ? tests : { ...tests, broken: tests.broken + 1 };
}

async function vitest(projects: string[], env: Record<string, string> = {}, cwd = root): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), "data-platform-test-"));
  const file = join(folder, "results.json");
  const args = [
    "vitest",
    "run",
    ...projects.flatMap((name) => ["--project", name]),
    "--reporter=default",
    "--reporter=json",
  ];
  try {
    const run = await execa("npx", [...args, `--outputFile.json=${file}`], {
      cwd,
      env,
      stdio: "inherit",
      reject: false,
    });
    const results = JSON.parse(readFileSync(file, "utf8"));
    // A file that cannot be loaded or set up fails without a failed test.
    const files = results.testResults.filter(
      ({ status, assertionResults }: { status: string; assertionResults: { status: string }[] }) =>
        status === "failed" && assertionResults.every((one) => one.status !== "failed"),
    ).length;
    const broken = results.numFailedTests + files;
    return {
      passed: results.numPassedTests,
      // Vitest also fails for errors outside tests, such as an unhandled rejection.
      broken: run.exitCode !== 0 && broken === 0 ? 1 : broken,
      skipped: results.numPendingTests + results.numTodoTests,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
