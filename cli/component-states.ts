import type { Kube, Live } from "../kube/client.ts";
import { reason } from "../kube/diagnose.ts";
import { readiness } from "../kube/ready.ts";
import { network } from "../local/cluster/index.ts";
import type { KubeObject } from "../render/manifests.ts";
import type { Target } from "./choose.ts";
import type { Deployed } from "./deployed.ts";
import { table } from "./show.ts";
import { kubeconfigOf } from "./target.ts";

/** The state of a component in the cluster. */
export interface ComponentState {
  name: string;
  ready: boolean;
  state: string;
  /** The address for a client on this machine. */
  address: string;
  /** Whether `./platform credentials` has a password of it. */
  hasPassword: boolean;
}

/** The components of a stack, with the state of their workloads and their addresses. */
export async function componentStates(
  kube: Kube,
  target: Target,
  { endpoints, secrets, objects }: Deployed,
): Promise<ComponentState[]> {
  return Promise.all(
    Object.entries(endpoints).map(async ([name, { namespace, service, port }]) => {
      const found = await kube.get({ apiVersion: "v1", kind: "Service", metadata: { name: service, namespace } });
      const state = await stateOf(
        kube,
        objects.filter((object) => belongs(object, namespace, name)),
      );
      return { name, ...state, address: found ? address(found, target, port) : "-", hasPassword: name in secrets };
    }),
  );
}

export function componentTable(states: ComponentState[], options: { stack: string; context?: string }): string {
  const stack = options.stack === "dev" ? "" : ` --stack ${options.stack}`;
  const which = stack + (options.context ? ` --context ${options.context}` : "");
  return table(
    ["COMPONENT", "STATE", "ADDRESS FROM THIS MACHINE", "PASSWORD"],
    states.map(({ name, state, address, hasPassword }) => [
      name,
      state,
      address,
      hasPassword ? `./platform credentials ${name}${which}` : "none",
    ]),
  );
}

/** The links to the pages that have a host, to print after the table; empty if there are none. */
export function pageLinks(objects: KubeObject[]): string {
  const hosts = objects.flatMap(({ kind, spec }) => hostsIn(kind, spec as Routes | undefined));
  return hosts.length > 0 ? `\n\nin a browser:\n${[...new Set(hosts)].sort().join("\n")}` : "";
}

/** The part of an Ingress or HTTPRoute that has hosts. */
interface Routes {
  tls?: object[];
  rules?: { host?: string; filters?: object[] }[];
  hostnames?: string[];
}

function hostsIn(kind: string, { tls, rules = [], hostnames = [] }: Routes = {}): string[] {
  if (kind === "Ingress") return rules.flatMap(({ host }) => (host ? [`${tls ? "https" : "http"}://${host}`] : []));
  // Not the routes that only redirect.
  return kind === "HTTPRoute" && !rules.some(({ filters }) => filters)
    ? hostnames.map((host) => `https://${host}`)
    : [];
}

/** Whether a workload belongs to a component. It may have several, of which its Service selects one. */
const belongs = ({ kind, metadata }: KubeObject, namespace: string, component: string): boolean =>
  ["StatefulSet", "Deployment", "DaemonSet", "Cluster"].includes(kind) &&
  metadata.namespace === namespace &&
  metadata.labels?.["app.kubernetes.io/name"] === component;

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
  return { ready: !trouble && states.length > 0, state: trouble ?? (states.length > 0 ? "ready" : "no workload") };
}

function address({ metadata, spec, status }: Live, target: Target, port: number): string {
  const outside = status?.loadBalancer?.ingress?.[0];
  if (outside) return `${outside.hostname ?? outside.ip}:${port}`;
  // This machine reaches the embedded cluster's network. A node port was configured for users, so it is shown first.
  const { nodePort } = (spec.ports as { port: number; nodePort?: number }[]).find((one) => one.port === port) ?? {};
  if (target.cluster === "embedded" && nodePort) return `${network.address}:${nodePort}`;
  if (target.cluster === "embedded" && spec.clusterIP && spec.clusterIP !== "None") return `${spec.clusterIP}:${port}`;
  const kubeconfig = kubeconfigOf(target);
  const which = kubeconfig ? ` --kubeconfig ${kubeconfig}` : target.context ? ` --context ${target.context}` : "";
  return `localhost:${port} after: kubectl${which} -n ${metadata.namespace} port-forward svc/${metadata.name} ${port}`;
}
