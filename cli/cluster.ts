import * as local from "../local/cluster/index.ts";
import { UserError } from "../local/step.ts";
import { ConfigError } from "../render/stack.ts";
import { show, table } from "./show.ts";
import { existingLocal, localTarget } from "./target.ts";

export async function clusterUp(simulated?: local.SimulatedNodes): Promise<void> {
  const { cluster, why } = await localTarget();
  console.log(`cluster: ${cluster} (${why})`);
  if (simulated && cluster === "kind")
    throw new ConfigError("--simulated-nodes: found a kind cluster; expected the embedded one, which can have them");
  await show(cluster === "kind" ? local.kindUpSteps() : local.upSteps({ simulated }));
  console.log(`kubectl --kubeconfig ${local.kubeconfigPath()} get nodes`);
}

export async function clusterDown(deleteData: boolean): Promise<void> {
  // Without a cluster, the embedded one's steps: they also clean up after a crash.
  const kind = existingLocal() === "kind";
  await show(kind ? local.kindDownSteps({ deleteData }) : local.downSteps({ deleteData }));
}

export async function clusterStatus(): Promise<void> {
  if (existingLocal() === "kind") {
    console.log(`local cluster: kind, in Docker\nkubeconfig: ${local.kubeconfigPath()}`);
    return;
  }
  const { state, problem, components, nodes, kubeconfig } = await local.status();
  console.log(`local cluster: ${state}${problem ? `: ${problem}` : ""}`);
  if (state === "stopped") return;
  console.log(`kubeconfig: ${kubeconfig}\n`);
  const processes = components.map(({ name, pid, log }) => [name, pid ? `process ${pid}` : "stopped", log]);
  console.log(`${table(["PROGRAM", "STATE", "LOG"], processes)}\n`);
  const real = nodes.filter(({ simulated }) => !simulated);
  console.log(
    table(
      ["NODE", "STATE", "KUBERNETES"],
      real.map((n) => [n.name, n.ready ? "ready" : "not ready", n.version]),
    ),
  );
  const simulated = nodes.length - real.length;
  if (simulated > 0) console.log(`and ${simulated} simulated nodes`);
  if (state === "broken") throw new UserError("the local cluster is broken: `./platform cluster up` repairs it");
}

export function clusterKubeconfig(): void {
  console.log(local.kubeconfigPath());
}
