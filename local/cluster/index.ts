import { readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { refillRegistry } from "../images/index.ts";
import { type Step, UserError } from "../step.ts";
import { noteBefore, putBack, readBefore } from "./before.ts";
import { buildSteps, type GroupName } from "./binaries.ts";
import * as components from "./components.ts";
import { cgroup, type Daemon, killGroup, pidOf, start, startedAt, stop } from "./daemons.ts";
import { debianPackages } from "./debian.ts";
import * as host from "./host.ts";
import { dir, kubeconfigPath, logFile, nodeName, runDir } from "./layout.ts";
import { baseManifests, metricsManifests, type SimulatedNodes, simulatedNodes } from "./manifests.ts";
import { createNodeNamespace, removeNodeNamespace } from "./namespace.ts";
import { checkNetwork, createNetwork, removeNetwork } from "./network.ts";
import { authorityFile } from "./pki.ts";

export { type BinaryName, binary } from "./binaries.ts";
export { dockerAnswers, kindDownSteps, kindUpSteps } from "./kind.ts";
export { kubeconfigPath, network } from "./layout.ts";
export type { SimulatedNodes } from "./manifests.ts";

/** Imported only when needed: loading the Kubernetes client takes longer than all of `status`. */
const api = () => import("./api.ts");

/** Only what building images needs: crane and the registry. */
export function registrySteps(): Step[] {
  return [
    { title: "Check this machine", run: checkMachine },
    ...buildSteps(["crane"]),
    startStep("Start the image registry", [components.registry]),
    // The registry keeps layers on disk, but manifests in memory.
    { title: "Offer the images made before", run: refillRegistry },
  ];
}

/** What not every cluster has. */
interface Wanted {
  /** Default: those that there are. */
  simulated?: SimulatedNodes | undefined;
  /** Whether a stack has autoscalers, which ask for the pods' use of CPU. Default: it is as before. */
  metrics?: boolean;
}

/** From an empty machine to a ready node. After an interruption the same steps continue where they ended. */
export function upSteps({ simulated, metrics = false }: Wanted = {}): Step[] {
  const groups: GroupName[] = [
    "runc",
    "cni",
    "kubernetes",
    "etcd",
    "containerd",
    "addons",
    "policies",
    ...(metrics ? (["metrics"] as const) : []),
    ...(simulated ? (["kwok"] as const) : []),
  ];
  return [
    ...registrySteps(),
    { title: "Install what the network needs", run: (say) => debianPackages(networkPackages, say) },
    { title: "Check this machine's network", run: async () => void ((await readBefore()) ?? (await checkNetwork())) },
    ...buildSteps(groups),
    {
      title: "Write certificates and configuration",
      run: async () => {
        await host.makeDirectories();
        // Imported only here: the library for certificates takes half a second to load.
        const { ensureCertificates } = await import("./certificates.ts");
        await ensureCertificates();
        await host.writeFiles(await components.configFiles());
      },
    },
    { title: "Make room for the node", run: makeRoomForNode },
    startStep("Start etcd and containerd", [components.etcd, components.containerd]),
    startStep("Start the API server", [components.apiServer]),
    startStep("Start the node", [
      components.controllerManager,
      components.scheduler,
      components.kubelet,
      components.proxy,
    ]),
    {
      title: "Set up DNS and storage",
      run: async () => (await api()).apply(baseManifests(components.provisionerName)),
    },
    startStep("Start DNS, storage and network policies", [
      components.coredns,
      components.provisioner,
      components.networkPolicies,
    ]),
    metricsStep(metrics),
    ...simulationSteps(simulated),
    { title: "Wait for the node", run: waitForNode },
  ];
}

/** For a stack with Ingresses or HTTPRoutes, once the cluster is up: what leads their hosts to their pods. */
export const frontDoorSteps = (): Step[] => [
  ...buildSteps(["authority", "traefik"]),
  startStep("Start the front door", [
    components.authority,
    async () => components.traefik(await (await api()).hasGatewayApi()),
  ]),
];

const networkPackages = {
  nftables: "kube-proxy sends Services to pods through it",
  iproute2: "makes the cluster's network",
};

async function checkMachine(): Promise<void> {
  host.checkMachine();
  const running = (await readBefore())?.directory ?? dir();
  if (running !== dir())
    throw new UserError(
      `A local cluster with its data in ${running} runs on this machine, and this one's is ${dir()}. Set PLATFORM_STATE to ${dirname(running)} to use that, or to stop it.`,
    );
}

async function makeRoomForNode(): Promise<void> {
  if (!(await readBefore())) await noteBefore();
  await createNetwork();
  await host.makeControlGroups();
  await createNodeNamespace();
}

const startStep = (title: string, daemons: (() => Promise<Daemon>)[]): Step => ({
  title,
  run: async (say) => void (await Promise.all(daemons.map(async (daemon) => start(await daemon(), say)))),
});

/**
 * Once its API is registered, metrics-server always runs with the cluster: while one API does not answer, Kubernetes
 * deletes no namespace.
 */
function metricsStep(wanted: boolean): Step {
  return {
    title: "Start metrics-server",
    skip: async () => !wanted && !(await (await api()).hasMetrics()) && "no stack has an autoscaler",
    run: async (say) => {
      await start(await components.metricsServer(), say);
      await (await api()).apply(metricsManifests(await readFile(authorityFile("cluster"), "utf8")));
    },
  };
}

/** Simulated nodes stay until another number of them is requested; 0 removes them. */
function simulationSteps(simulated?: SimulatedNodes): Step[] {
  const none = async () => {
    const { listSimulated } = await api();
    return !simulated && (await listSimulated()).length === 0 && "none asked for";
  };
  return [
    {
      title: "Start kwok",
      skip: none,
      run: async (say) => {
        await host.writeFiles([await components.kwokFile()]);
        await start(await components.kwok(), say);
      },
    },
    {
      title: simulated ? `Simulate ${simulated.count} nodes` : "Simulate nodes",
      skip: () => (simulated ? false : "as many as before"),
      run: async () => {
        if (!simulated) return;
        const wanted = simulatedNodes(simulated);
        const names = wanted.map(({ metadata }) => metadata.name);
        const { apply, core, listSimulated, setNodeSize } = await api();
        await apply(wanted);
        for (const { metadata, status } of wanted) await setNodeSize(metadata.name, status as object);
        for (const name of await listSimulated()) if (!names.includes(name)) await core().deleteNode({ name });
      },
    },
  ];
}

async function waitForNode(): Promise<void> {
  const deadline = Date.now() + 90_000;
  const since = Math.floor((await startedAt("kubelet")) / 1000) * 1000;
  const { core } = await api();
  for (; ; await sleep(300)) {
    const node = await core()
      .readNode({ name: nodeName })
      .catch(() => undefined);
    const condition = node?.status?.conditions?.find(({ type }) => type === "Ready");
    // Only a heartbeat of the current kubelet counts: after a restart the node still has the status of the last one.
    if (condition?.status === "True" && Number(condition.lastHeartbeatTime) >= since) return;
    if (Date.now() < deadline) continue;
    const why = condition?.message ?? "it never registered";
    throw new UserError(`The node was not ready within 90 s: ${why}. See ${dir("logs", "kubelet.log")}.`);
  }
}

/** Seconds that containers have to end before they are killed. */
const grace = 30;

/** Stops everything and restores the machine. With `deleteData` also deletes the data; by default the next `up` continues with it. */
export function downSteps({ deleteData }: { deleteData: boolean }): Step[] {
  return [
    { title: "Check this machine", run: checkMachine },
    {
      title: "Stop the pods",
      run: async (say) => {
        await stop("kwok", 5);
        await stop("kubelet", 10);
        await host.stopContainers(grace, say);
      },
    },
    {
      title: "Stop the cluster",
      run: async (say) => {
        for (const name of components.stopOrder) {
          say(name);
          await stop(name, 15);
        }
        await killGroup(cgroup());
      },
    },
    {
      title: "Put the machine back as it was",
      run: async () => {
        const before = await readBefore();
        await removeNodeNamespace(before?.made);
        if (before) {
          await removeNetwork(before);
          await putBack(before);
        }
        await host.removeControlGroups();
        await rm(runDir(), { recursive: true, force: true });
      },
    },
    ...(deleteData
      ? [{ title: "Delete the cluster's data", run: () => rm(dir(), { recursive: true, force: true }) } satisfies Step]
      : []),
  ];
}

export interface ComponentStatus {
  name: string;
  /** Undefined if it does not run. */
  pid?: number;
  log: string;
}

export interface ClusterStatus {
  state: "running" | "stopped" | "broken";
  components: ComponentStatus[];
  nodes: { name: string; ready: boolean; version: string; simulated: boolean }[];
  kubeconfig: string;
  /** What is wrong if the state is `broken`. */
  problem?: string;
}

/** Programs of the cluster with their processes. */
const processes = () => components.stopOrder.map((name) => ({ name, pid: pidOf(name), log: logFile(name) }));
/** Programs that every cluster has. */
const needed = ({ name }: ComponentStatus) =>
  !["registry", "kwok", "traefik", "authority", "metrics-server"].includes(name);

/** Whether any of the cluster's own programs runs; `status` also asks the cluster. */
export const isStarted = (): boolean => processes().some((one) => needed(one) && one.pid !== undefined);

/** The state of the cluster; changes nothing. */
export async function status(): Promise<ClusterStatus> {
  const kubeconfig = kubeconfigPath();
  const all = processes();
  if (!isStarted()) return { state: "stopped", components: all, nodes: [], kubeconfig };
  const missing = all.filter((one) => needed(one) && one.pid === undefined).map(({ name }) => name);
  const { core, hasMetrics, isReady } = await api();
  const { items, problem: unreachable } = await core()
    .listNode()
    .then(({ items }) => ({ items, problem: undefined }))
    .catch((error: Error) => ({ items: [], problem: error.message }));
  const nodes = items.map((node) => ({
    name: node.metadata?.name ?? "",
    ready: isReady(node),
    version: node.status?.nodeInfo?.kubeletVersion ?? "",
    simulated: node.metadata?.labels?.type === "kwok",
  }));
  if (nodes.some(({ simulated }) => simulated) && pidOf("kwok") === undefined) missing.push("kwok");
  if (pidOf("metrics-server") === undefined && (await hasMetrics().catch(() => false))) missing.push("metrics-server");
  const notReady = nodes.find(({ name, ready }) => name === nodeName && ready) ? undefined : `${nodeName} is not ready`;
  const problem = missing.length > 0 ? `${missing.join(", ")} stopped` : (unreachable ?? notReady);
  return { state: problem ? "broken" : "running", components: all, nodes, kubeconfig, problem };
}
