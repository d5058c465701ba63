import type { TestProject } from "vitest/node";
import { mustRun } from "./kit.ts";
import { type Machine, machine } from "./machine.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The machine as it was with no cluster on it. */
    before: Machine;
  }
}

/** The cluster tests start on a machine without a cluster, and take it away when they are done. */
export default async function setup({ provide }: TestProject) {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new Error("the cluster tests need Linux and root, as the embedded cluster does");
  // Whoever names a stack that runs already tries one file on it; the cluster is theirs.
  if (process.env.TEST_STACK) return;
  await mustRun(["cluster", "down", "--delete-data"]);
  provide("before", await machine());
  return async () => {
    await mustRun(["cluster", "down", "--delete-data"]);
  };
}
