import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { findPulumi, pulumiSteps } from "../../cli/engine.ts";
import { evaluateRedacted, stackFile } from "../../cli/project.ts";
import { show } from "../../cli/show.ts";
import { targetOf } from "../../cli/target.ts";
import { imagesOf, localWork } from "../../cli/up.ts";
import { clusterImage, operatorImage } from "../../components/cloudnative-pg/schema.ts";
import { stateDir } from "../../config/paths.ts";
import { mustRun, wholeFile } from "./kit.ts";
import { type Machine, machine } from "./machine.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The machine's state before a cluster was started. */
    before: Machine;
    /** A folder for the duration of the run, for facts that one file passes to the next. */
    run: string;
  }
}

/** The cluster tests start without a cluster, and delete their own at the end. */
export default async function setup({ provide }: TestProject) {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new Error("the cluster tests need Linux and root, as the embedded cluster does");
  // TEST_STACK is for running one file on an existing stack: the cluster belongs to the user.
  if (process.env.TEST_STACK) return;

  // A cluster of an interrupted run of these tests may be deleted. Any other may hold a user's data.
  const ours = join(stateDir(), "made-by-the-cluster-tests");
  if (existsSync(join(stateDir(), "cluster")) && !existsSync(ours))
    throw new Error(
      `there is a local cluster (${join(stateDir(), "cluster")}) that these tests did not make, and they start without one. ` +
        "Take it away with `./platform cluster down --delete-data`, or try one file on a stack that runs on it: " +
        "TEST_STACK=test npx vitest run --project cluster test/cluster/55-trino.test.ts",
    );
  await mustRun(["cluster", "down", "--delete-data"]);
  provide("before", await machine());
  writeFileSync(ours, "");
  const run = mkdtempSync(join(tmpdir(), "data-platform-cluster-tests-"));
  provide("run", run);

  // Slow if nothing can be pulled, so it is done here, outside of the tests' timeouts.
  const file = stackFile("test", wholeFile());
  const operators = [operatorImage, clusterImage];
  const all = [...imagesOf(await evaluateRedacted(file)), ...operators];
  await show(localWork(await targetOf(file), all, pulumiSteps(await findPulumi())));

  return async () => {
    await mustRun(["cluster", "down", "--delete-data"]);
    rmSync(ours);
    rmSync(run, { recursive: true });
  };
}
