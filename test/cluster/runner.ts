import { type RunnerTask, type RunnerTestSuite, TestRunner, type VitestTestRunner } from "vitest";

/** Runs no file that would begin after `CLUSTER_TESTS_UNTIL` (milliseconds since 1970): its tests count as skipped. */
export default class InTime extends TestRunner {
  override async onBeforeRunSuite(suite: RunnerTestSuite): Promise<void> {
    if ("filepath" in suite && Date.now() > Number(process.env.CLUSTER_TESTS_UNTIL ?? Infinity)) {
      suite.mode = "skip";
      const tests = testsIn(suite);
      // Without it, skipped tests are not reported one by one. Vitest sets it on every runner.
      await (this as VitestTestRunner).onTaskUpdate?.(
        tests.map(({ id, meta }) => [id, { state: "skip" }, meta]),
        tests.map(({ id }) => [id, "test-finished", undefined]),
      );
      console.log(`skipped: no time was left for ${suite.name}`);
    }
    await super.onBeforeRunSuite(suite);
  }
}

const testsIn = (task: RunnerTask): RunnerTask[] => (task.type === "suite" ? task.tasks.flatMap(testsIn) : [task]);
