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
    /** The machine as it was with no cluster on it. */
    before: Machine;
    /** A folder that lasts as long as the run: what one file has to tell the next. */
    run: string;
  }
}

/** The cluster tests start on a machine without a cluster, and take theirs away when they are done. */
export default async function setup({ provide }: TestProject) {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new Error("the cluster tests need Linux and root, as the embedded cluster does");
  // Whoever names a stack that runs already tries one file on it; the cluster is theirs.
  if (process.env.TEST_STACK) return;

  // Left by an interrupted run of these tests, a cluster may go. Anyone else's holds data that is not ours to delete.
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

  // What is slow where nothing can be pulled: here it may take its time, and no test's limit speaks of it.
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
