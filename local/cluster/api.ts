import type { CoreV1Api, KubernetesObject, V1Node } from "@kubernetes/client-node";
import { CoreV1Api as Core, KubeConfig, KubernetesObjectApi, PatchStrategy } from "@kubernetes/client-node";
import { kubeconfigPath } from "./layout.ts";
import type { Manifest } from "./manifests.ts";

function config(): KubeConfig {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromFile(kubeconfigPath());
  return kubeconfig;
}

export const core = (): CoreV1Api => config().makeApiClient(Core);

/** Server-side apply: makes what is missing and puts right what differs. */
export async function apply(manifests: Manifest[]): Promise<void> {
  const api = KubernetesObjectApi.makeApiClient(config());
  for (const manifest of manifests)
    await api.patch(
      manifest as KubernetesObject,
      undefined,
      undefined,
      "data-platform-local",
      true,
      PatchStrategy.ServerSideApply,
    );
}

export const isReady = (node: V1Node): boolean =>
  node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
