import { destroy as destroyApplied } from "../engine/apply.ts";
import { pickEngine } from "./engine.ts";
import { ownerOf } from "./owner.ts";
import { stackFile } from "./project.ts";
import { Pulumi } from "./pulumi.ts";
import { show } from "./show.ts";
import { connect, nameOf, targetOf } from "./target.ts";

export async function destroy(options: {
  stack: string;
  configFile?: string;
  context?: string;
  timeout: number;
}): Promise<void> {
  const file = stackFile(options.stack, options.configFile);
  const target = await targetOf(file, options.context);
  const kube = await connect(target);
  console.log(`cluster: ${nameOf(target)} (${target.why})`);
  const owner = await ownerOf(kube, file);
  if (!owner) {
    console.log(`stack ${file.stack}: nothing of it in this cluster`);
    return;
  }
  const title = `Deleting stack ${file.stack}, brought up by ${owner}`;
  if (owner === "pulumi") {
    await pickEngine(kube, file);
    const pulumi = await Pulumi.of(file);
    return show([{ title, run: (say) => pulumi.destroy(target, say) }]);
  }
  const lines: string[] = [];
  let deleted = 0;
  await show([
    {
      title,
      run: async (say) => {
        const report = (line: string) => void lines.push(line);
        ({ deleted } = await destroyApplied({ kube, stack: file.stack, timeout: options.timeout, say, report }));
      },
    },
  ]);
  for (const line of lines) if (!line.startsWith("deleted ")) console.log(line);
  console.log(`${deleted} deleted`);
}
