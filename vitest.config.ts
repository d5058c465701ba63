import { defineConfig } from "vitest/config";

/**
 * unit     pure functions and components under mocks
 * program  the whole program of every stack, rendered
 * cluster  real pods, real clients: needs a running cluster, see test/cluster/setup.ts
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      { test: { name: "program", include: ["test/program/**/*.test.ts"], testTimeout: 60_000 } },
      {
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          // One machine, one cluster: the files run one after another.
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 900_000,
        },
      },
    ],
  },
});
