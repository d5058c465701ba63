import type { Say } from "../local/step.ts";
import { adoptedNoLonger, leftLine } from "./adopted.ts";
import { stateOf } from "./backend.ts";
import { counted, linesOf, planned } from "./changes.ts";
import { findPulumi, pulumiSteps } from "./engine.ts";
import { preflight } from "./preflight.ts";
import { evaluateRedacted, stackFile } from "./project.ts";
import { Pulumi } from "./pulumi.ts";
import { refuseLosses, refuseResizes } from "./refusals.ts";
import { show } from "./show.ts";
import { connect, nameOf, targetOf } from "./target.ts";

export interface PreviewOptions {
  stack: string;
  context?: string;
  configFile?: string;
  /** Also shows the contents of changed fields. */
  diff: boolean;
}

/** Shows what `up` would do, and refuses what `up` would refuse. Nothing is changed in the cluster. */
export async function preview(options: PreviewOptions): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const evaluation = await evaluateRedacted(file, options.context);
  const target = await targetOf(file, options.context);
  const kube = await connect(target);
  console.log(`cluster: ${nameOf(target)} (${target.why})`);
  const steps = pulumiSteps(await findPulumi());
  if (steps.length > 0) await show(steps);

  const state = await stateOf(file);
  const left = await adoptedNoLonger(kube, file, evaluation, state);
  const exclude = left.map(({ urn }) => urn);
  refuseLosses(file, state, evaluation, exclude);
  refuseResizes(file, state, evaluation);
  const adopted = await preflight(kube, file, evaluation, state);
  const pulumi = await Pulumi.open(file, target, { state, adopts: adopted.length > 0 });
  const lines: string[] = [];
  const run = async (say: Say) => {
    const { changes, counts, warnings } = await pulumi.preview(evaluation.resources.length, say, exclude);
    lines.push(...[...warnings].map((warning) => `warning: ${warning}`));
    lines.push(...changes.flatMap((change) => linesOf(change, planned, options.diff)).map((line) => `  ${line}`));
    lines.push(...left.map(leftLine));
    lines.push(
      counted(counts, { create: "to create", update: "to update", replace: "to replace", delete: "to delete" }),
    );
  };
  await show([{ title: `Preview of stack ${file.stack}`, run }]);
  console.log(lines.join("\n"));
}
