import { UserError } from "../local/step.ts";
import { deployed } from "./deployed.ts";
import { partStates, partTable } from "./parts.ts";
import { stackFile } from "./project.ts";
import { connect, nameOf, targetOf } from "./target.ts";

export async function status(options: { stack: string; configFile?: string; context?: string }): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const target = await targetOf(file, options.context);
  const kube = await connect(target);
  console.log(`cluster: ${nameOf(target)}, ${kube.server}`);
  const parts = await partStates(kube, target, await deployed(file, options.context));
  console.log(`\n${partTable(parts, options)}`);
  const down = parts.filter(({ ready }) => !ready);
  if (down.length > 0) throw new UserError(`not ready: ${down.map(({ name }) => name).join(", ")}`);
}
