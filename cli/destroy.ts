import { existsSync } from "node:fs";
import { kubeconfigPath } from "../local/cluster/index.ts";
import type { Say } from "../local/step.ts";
import type { StackFile } from "../render/stack.ts";
import { adoptedIn, deleteBegun, leftLine } from "./adopted.ts";
import { inUse, type StackState, stateOf } from "./backend.ts";
import { counted, done } from "./changes.ts";
import type { Target } from "./choose.ts";
import { findPulumi, pulumiSteps } from "./engine.ts";
import { stackFile } from "./project.ts";
import { Pulumi } from "./pulumi.ts";
import { refuseProtected } from "./refusals.ts";
import { show } from "./show.ts";
import { connect, isLocal, nameOf, targetOf } from "./target.ts";

export interface DestroyOptions {
  stack: string;
  configFile?: string;
  context?: string;
}

/** Deletes a stack and its data. A namespace that existed before the stack stays. */
export async function destroy(options: DestroyOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const target = await targetOf(file, options.context);
  const state = await stateOf(file);
  if (!inUse(state)) {
    console.log(`stack ${file.stack}: nothing to destroy`);
    return;
  }
  console.log(`cluster: ${nameOf(target)} (${target.why})`);
  const steps = pulumiSteps(await findPulumi());
  if (steps.length > 0) await show(steps);
  if (isLocal(target) && !existsSync(kubeconfigPath())) return forget(file, target, state);
  refuseProtected(file, state);

  const kube = await connect(target);
  const adopted = await adoptedIn(kube, state);
  const pulumi = await Pulumi.open(file, target, { state, kube });
  let deleted = "";
  const run = async (say: Say) => {
    const urns = adopted.map(({ urn }) => urn);
    // First: the engine does not know these objects, and would wait for the volume claims that their pods use.
    await deleteBegun(kube, state);
    const { counts } = await pulumi.destroy(state.resources.length, say, urns);
    deleted = counted({ delete: counts.delete }, done);
    // The state has only those namespaces left, which the stack does not own.
    if (urns.length > 0) await pulumi.forget();
    else await pulumi.settle();
  };
  await show([{ title: `Deleting stack ${file.stack}`, run }]);
  for (const namespace of adopted) console.log(leftLine(namespace));
  console.log(deleted);
}

/** Removes a stack from the backend whose local cluster no longer exists. */
async function forget(file: StackFile, target: Target, state: StackState): Promise<void> {
  const pulumi = await Pulumi.open(file, target, { state });
  await pulumi.forget();
  console.log(`stack ${file.stack}: its local cluster is gone, and everything of it too; it is forgotten`);
}
