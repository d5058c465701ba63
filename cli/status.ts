import { UserError } from "../local/step.ts";
import { componentStates, componentTable, pageLinks } from "./component-states.ts";
import { deployed } from "./deployed.ts";
import { stackFile } from "./project.ts";
import { connect, nameOf, targetOf } from "./target.ts";

export async function status(options: { stack: string; configFile?: string; context?: string }): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const target = await targetOf(file, options.context);
  const kube = await connect(target);
  console.log(`cluster: ${nameOf(target)}, ${kube.server}`);
  const found = await deployed(file, options.context);
  const components = await componentStates(kube, target, found);
  console.log(`\n${componentTable(components, options)}${pageLinks(found.objects)}`);
  const down = components.filter(({ ready }) => !ready);
  if (down.length > 0) throw new UserError(`not ready: ${down.map(({ name }) => name).join(", ")}`);
}
