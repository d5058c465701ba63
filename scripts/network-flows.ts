import { flowsPage } from "../components/kit/flows.ts";
import { Platform } from "../components/platform.ts";
import { load } from "../config/load.ts";
import { redacted } from "../render/evaluate.ts";
import { run } from "../render/run.ts";
import { readStack } from "../render/stack.ts";

/** docs/network-flows.md: what a stack with monitoring allows. */
export async function networkFlowsPage(stack: string): Promise<string> {
  const file = readStack(".", stack);
  file.config["data-platform:monitoring"] = { enabled: true };
  const found: string[] = [];
  const program = () => {
    const { flows, endpoints } = new Platform(load());
    found.push(flowsPage(stack, flows));
    return { endpoints };
  };
  await run(program, file, { random: redacted, context: "a-cluster" });
  return found.join("");
}
