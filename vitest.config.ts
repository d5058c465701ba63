import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The cluster tests follow one another by their names: each finds the cluster as the one before left it. */
class ByName extends BaseSequencer {
  override async sort(files: TestSpecification[]) {
    return [...files].sort((a, b) => (a.moduleId < b.moduleId ? -1 : 1));
  }
}

/**
 * unit     pure functions and components under mocks
 * program  the whole program of every stack, rendered
 * cluster  real pods, real clients: needs a running cluster, see test/cluster/setup.ts
 */
export default defineConfig({
  test: {
    sequence: { sequencer: ByName },
    projects: [
      // The limits are for a busy machine of two processors: a test that hangs should fail, one that is slow should not.
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          setupFiles: "test/setup.ts",
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: "program",
          include: ["test/program/**/*.test.ts"],
          setupFiles: "test/setup.ts",
          // The files of a worker share the program, loaded once, and what they evaluate: see test/program/stacks.ts.
          isolate: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          // One machine, one cluster: the files run one after another.
          fileParallelism: false,
          globalSetup: "test/cluster/setup.ts",
          runner: "test/cluster/runner.ts",
          testTimeout: 300_000,
          hookTimeout: 1_800_000,
        },
      },
    ],
  },
});
