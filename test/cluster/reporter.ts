import { writeSync } from "node:fs";
import { basename } from "node:path";
import type { Reporter, SerializedError, TestModule } from "vitest/node";
import type { FileResult, OutsideError } from "../../cli/test-cluster.ts";

/** Writes a line of JSON for each test file as it ends, to the file descriptor that CLUSTER_TESTS_REPORT names. */
export default class Lines implements Reporter {
  onTestModuleEnd(module: TestModule): void {
    const tests = [...module.children.allTests()];
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    const failed = tests.flatMap((test) => {
      const { state, errors } = test.result();
      return state === "failed" ? [{ test: test.fullName, message: errors[0]?.message ?? "failed" }] : [];
    });
    // For example a file that cannot be loaded, or whose stack does not come up.
    const suites = [...module.children.allSuites()].flatMap((suite) => suite.errors());
    const around = [...module.errors(), ...suites].map(({ message }) => ({ test: "before its tests", message }));
    this.write({
      file: basename(module.moduleId),
      seconds: module.diagnostic().duration / 1000,
      passed: count("passed"),
      skipped: count("skipped"),
      failures: [...failed, ...around],
    });
  }

  onTestRunEnd(_: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    for (const { message, VITEST_TEST_PATH: path } of unhandled)
      this.write({ outside: message, ...(path ? { file: basename(String(path)) } : {}) });
  }

  private write(line: FileResult | OutsideError): void {
    const descriptor = Number(process.env.CLUSTER_TESTS_REPORT);
    if (descriptor) writeSync(descriptor, `${JSON.stringify(line)}\n`);
  }
}
