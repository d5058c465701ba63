import type { Kube, Live } from "../kube/client.ts";
import { reason } from "../kube/diagnose.ts";
import { readiness } from "../kube/ready.ts";
import { network } from "../local/cluster/index.ts";
import type { KubeObject } from "../render/manifests.ts";
import type { Target } from "./choose.ts";
import type { Deployed } from "./deployed.ts";
import { table } from "./show.ts";
import { kubeconfigOf } from "./target.ts";

/** A part of the platform as it stands in the cluster. */
export interface PartState {
  name: string;
  ready: boolean;
  state: string;
  /** Where a client on this machine connects to. */
  address: string;
  /** Whether it has an administrator, whose password can be asked for. */
  hasPassword: boolean;
}

/** Every part that the stack has, with what runs it and where it answers. */
export async function partStates(
  kube: Kube,
  target: Target,
  { endpoints, secrets, objects }: Deployed,
): Promise<PartState[]> {
  return Promise.all(
    Object.entries(endpoints).map(async ([name, { namespace, service, port }]) => {
      const found = await kube.get({ apiVersion: "v1", kind: "Service", metadata: { name: service, namespace } });
      const state = await stateOf(
        kube,
        objects.filter((object) => runs(object, namespace, name)),
      );
      return { name, ...state, address: found ? address(found, target, port) : "-", hasPassword: name in secrets };
    }),
  );
}

export function partTable(parts: PartState[], options: { stack: string; context?: string }): string {
  const stack = options.stack === "dev" ? "" : ` --stack ${options.stack}`;
  const which = stack + (options.context ? ` --context ${options.context}` : "");
  return table(
    ["PART", "STATE", "ADDRESS FROM THIS MACHINE", "PASSWORD"],
    parts.map(({ name, state, address, hasPassword }) => [
      name,
      state,
      address,
      hasPassword ? `./platform credentials ${name}${which}` : "none",
    ]),
  );
}

/** Whether a workload is one of a part's: it may have several, and its Service leads to one of them. */
const runs = ({ kind, metadata }: KubeObject, namespace: string, part: string): boolean =>
  ["StatefulSet", "Deployment", "DaemonSet", "Cluster"].includes(kind) &&
  metadata.namespace === namespace &&
  metadata.labels?.["app.kubernetes.io/name"] === part;

async function stateOf(kube: Kube, workloads: KubeObject[]): Promise<{ ready: boolean; state: string }> {
  const states = await Promise.all(
    workloads.map(async (workload) => {
      const live = await kube.get(workload);
      if (!live) return "not in the cluster";
      const found = readiness(live);
      return found.state === "ready" ? undefined : ((await reason(kube, live)) ?? found.why);
    }),
  );
  const trouble = states.find((state) => state);
  return { ready: !trouble && states.length > 0, state: trouble ?? (states.length > 0 ? "ready" : "nothing runs it") };
}

function address({ metadata, spec, status }: Live, target: Target, port: number): string {
  const outside = status?.loadBalancer?.ingress?.[0];
  if (outside) return `${outside.hostname ?? outside.ip}:${port}`;
  // The embedded cluster's network is this machine's own. A port of the node's is there for people, so it is shown first.
  const { nodePort } = (spec.ports as { port: number; nodePort?: number }[]).find((one) => one.port === port) ?? {};
  if (target.cluster === "embedded" && nodePort) return `${network.address}:${nodePort}`;
  if (target.cluster === "embedded" && spec.clusterIP && spec.clusterIP !== "None") return `${spec.clusterIP}:${port}`;
  const kubeconfig = kubeconfigOf(target);
  const which = kubeconfig ? ` --kubeconfig ${kubeconfig}` : target.context ? ` --context ${target.context}` : "";
  return `localhost:${port} after: kubectl${which} -n ${metadata.namespace} port-forward svc/${metadata.name} ${port}`;
}
