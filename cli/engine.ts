import type { Kube } from "../kube/client.ts";
import type { StackFile } from "../render/stack.ts";
import { chooseEngine, type Engine } from "./choose.ts";
import { ownerOf } from "./owner.ts";
import { findPulumi, pulumiSteps } from "./pulumi.ts";
import { show } from "./show.ts";

/** Chooses the engine for a stack, and installs or builds it if this machine does not have it yet. */
export async function pickEngine(
  kube: Kube,
  file: StackFile,
  asked?: Engine,
): Promise<{ engine: Engine; why: string }> {
  const owner = await ownerOf(kube, file);
  // Looking for a download takes a while, which a stack that will not use it need not spend.
  const pulumi = (asked ?? owner) === "apply" ? undefined : await findPulumi();
  const choice = chooseEngine({ stack: file.stack, asked, owner, pulumi });
  const steps = choice.engine === "pulumi" ? pulumiSteps(pulumi) : [];
  if (steps.length > 0) await show(steps);
  return choice;
}
