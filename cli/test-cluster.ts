import { join } from "node:path";
import { execa } from "execa";
import { UserError } from "../local/step.ts";
import { root } from "./project.ts";
import { fingerprints, forgetProof, keepProof, type Proof, provenBefore } from "./proven.ts";

/** The result of a test file. */
export interface FileResult {
  /** Its name, such as `55-trino.test.ts`. */
  file: string;
  seconds: number;
  passed: number;
  skipped: number;
  /** Failed tests, and errors that kept the file from running. */
  failures: { test: string; message: string }[];
}

/** An error outside every test, such as an unhandled rejection. */
export interface OutsideError {
  outside: string;
  /** The test file that ran, if Vitest knows it. */
  file?: string;
}

/** The result of a run of several files. */
export interface RunResult {
  files: FileResult[];
  /** Errors outside every test: a cluster that did not start, an unhandled rejection. */
  outside: string[];
}

/** The dependencies of `proveAll`. */
export interface Proving {
  /** The test files in their order, each with its fingerprint. */
  fingerprints: Map<string, string>;
  /** The last pass of a file, if it has this fingerprint. */
  provenBefore(file: string, fingerprint: string): Proof | undefined;
  /** Runs files on a cluster that is created for them, and reports each result when its file ends. */
  run(files: string[], ended: (result: FileResult) => Promise<void>): Promise<RunResult>;
  keep(file: string, proof: Proof): Promise<void>;
  forget(file: string): Promise<void>;
  say(line: string): void;
}

/**
 * Runs the tests that need real pods, on a cluster that is created for them and deleted.
 *
 * @param options.within seconds after which no file begins; default: no limit
 * @param options.all also run files that no change has affected since they passed
 */
export async function testCluster(options: { within?: number; all: boolean }): Promise<void> {
  const until = options.within && { CLUSTER_TESTS_UNTIL: String(Date.now() + options.within * 1000) };
  const { passed, failed, skipped } = await proveAll({
    fingerprints: await fingerprints(),
    provenBefore: options.all ? () => undefined : provenBefore,
    run: (files, ended) => vitest(files, until || {}, ended),
    keep: keepProof,
    forget: forgetProof,
    say: console.log,
  });
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  if (failed > 0) throw new UserError("the tests failed");
}

/**
 * Runs the files without a pass. A file that fails runs once more on a fresh cluster. If it then passes, it is a flake:
 * the last lines name it, the run does not fail, and the pass is not kept.
 */
export async function proveAll(work: Proving): Promise<{ passed: number; failed: number; skipped: number }> {
  let skipped = 0;
  const files: string[] = [];
  for (const [file, fingerprint] of work.fingerprints) {
    const proof = work.provenBefore(file, fingerprint);
    if (!proof) {
      files.push(file);
      continue;
    }
    skipped += proof.passed + proof.skipped;
    const day = proof.at.replace(/T(..:..).*/, " $1 UTC");
    work.say(`proven before: ${file}, ${day}, ${proof.passed} tests in ${Math.round(proof.seconds)} s`);
  }
  if (files.length === 0) {
    work.say("every cluster test is proven: nothing has changed since that could make a difference (--all runs them)");
    return { passed: 0, failed: 0, skipped };
  }

  // Saved after each file, so that the run after an interruption continues.
  const keep = async ({ file, seconds, passed, skipped, failures }: FileResult) => {
    const fingerprint = work.fingerprints.get(file);
    if (failures.length > 0) await work.forget(file);
    // A file that had no time to run has proven nothing.
    else if (fingerprint && passed > 0)
      await work.keep(file, { fingerprint, at: new Date().toISOString(), seconds, passed, skipped });
  };
  const first = await work.run(files, keep);
  // An error outside every test comes after the pass of its file, and may be the fault of any file if none is known.
  for (const { file, failures } of first.files)
    if (failures.length > 0 || first.outside.length > 0) await work.forget(file);

  const results = new Map(first.files.map((result) => [result.file, result]));
  const outside = [...first.outside];
  const flakes: FileResult[] = [];
  const broken = first.files.filter(({ failures }) => failures.length > 0);
  if (broken.length > 0) {
    work.say(`\nonce more on a fresh cluster: ${broken.map(({ file }) => file).join(", ")}`);
    const second = await work.run(
      broken.map(({ file }) => file),
      async () => {},
    );
    outside.push(...second.outside);
    for (const result of second.files) {
      if (result.passed === 0 || result.failures.length > 0) continue;
      results.set(result.file, result);
      flakes.push(...broken.filter(({ file }) => file === result.file));
    }
  }

  for (const { file, failures } of flakes)
    for (const { test, message } of failures)
      work.say(`flake: ${file} failed once and then passed: ${test}: ${message.split("\n")[0]}`);
  for (const message of outside) work.say(`outside the tests: ${message}`);
  const sum = (of: (result: FileResult) => number) => [...results.values()].reduce((total, one) => total + of(one), 0);
  return {
    passed: sum(({ passed }) => passed),
    failed: sum(({ failures }) => failures.length) + outside.length,
    skipped: skipped + sum((result) => result.skipped),
  };
}

/** Runs test files by Vitest. The reporter beside the tests writes a line of JSON for each as it ends, to a pipe. */
async function vitest(
  files: string[],
  env: Record<string, string>,
  ended: (result: FileResult) => Promise<void>,
): Promise<RunResult> {
  const reporters = ["--reporter=default", "--reporter=./test/cluster/reporter.ts"];
  const paths = files.map((file) => `test/cluster/${file}`);
  // By its path: npx does not pass the pipe on.
  const program = join(root, "node_modules/vitest/vitest.mjs");
  const run = execa(process.execPath, [program, "run", "--project", "cluster", ...reporters, ...paths], {
    cwd: root,
    env: { ...env, CLUSTER_TESTS_REPORT: "3" },
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    reject: false,
  });
  const found: FileResult[] = [];
  const outside: string[] = [];
  for await (const line of run.iterable({ from: "fd3" })) {
    const report = JSON.parse(line) as FileResult | OutsideError;
    if ("outside" in report) {
      const itsFile = found.find(({ file }) => file === report.file);
      if (itsFile) itsFile.failures.push({ test: "outside its tests", message: report.outside });
      else outside.push(report.outside);
    } else {
      found.push(report);
      await ended(report);
    }
  }
  const { exitCode } = await run;
  // Vitest may also fail without a reported reason.
  if (exitCode !== 0 && outside.length === 0 && found.every(({ failures }) => failures.length === 0))
    outside.push(`vitest ended with ${exitCode}`);
  return { files: found, outside };
}
