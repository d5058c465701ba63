import {
  ApiException,
  CoreV1Api,
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  PatchStrategy,
  setHeaderOptions,
  type V1Node,
} from "@kubernetes/client-node";
import { kubeconfigPath } from "./layout.ts";
import { gatewayApi, type Manifest, metricsApi, simulatedLabel } from "./manifests.ts";

function config(): KubeConfig {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromFile(kubeconfigPath());
  return kubeconfig;
}

export const core = (): CoreV1Api => config().makeApiClient(CoreV1Api);

/** Applies manifests by server-side apply. */
export async function apply(manifests: Manifest[]): Promise<void> {
  const api = KubernetesObjectApi.makeApiClient(config());
  const [manager, how] = ["data-platform-local", PatchStrategy.ServerSideApply];
  for (const manifest of manifests)
    await api.patch(manifest as KubernetesObject, undefined, undefined, manager, true, how);
}

export const isReady = (node: V1Node): boolean =>
  node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;

/** Whether the API of the pods' use of CPU and memory is registered. */
export const hasMetrics = (): Promise<boolean> => has(metricsApi);

/** Whether Gateway API is installed. */
export const hasGatewayApi = (): Promise<boolean> => has(gatewayApi);

async function has(object: Manifest): Promise<boolean> {
  try {
    await KubernetesObjectApi.makeApiClient(config()).read(object);
    return true;
  } catch (error) {
    if (error instanceof ApiException && error.code === 404) return false;
    throw error;
  }
}

/** Names of the simulated nodes. */
export async function listSimulated(): Promise<string[]> {
  const labelSelector = Object.entries(simulatedLabel)
    .map((label) => label.join("="))
    .join();
  return (await core().listNode({ labelSelector })).items.flatMap(({ metadata }) => metadata?.name ?? []);
}

/** A node's size is in its status, which applying an existing node does not change. */
export async function setNodeSize(name: string, status: object): Promise<void> {
  await core().patchNodeStatus({ name, body: { status } }, setHeaderOptions("Content-Type", PatchStrategy.MergePatch));
}
