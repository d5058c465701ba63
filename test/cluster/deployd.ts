// deployd of the small stack, for the tests that give it repositories.
import { stringify } from "yaml";
import type { Live } from "../../kube/client.ts";
import { address, get, kube, podsOf, small } from "./kit.ts";

/** deployd's own namespace. */
export const own = small.apps;
/** The namespace it deploys to. */
export const namespace = small.deployed;

type ConfigMap = Live & { data?: Record<string, string> };

/** A manifest of a ConfigMap with one value. */
export const configMap = (name: string, value: string) =>
  stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { value } });

/** The value of a deployed ConfigMap; undefined if there is none. */
export const value = async (name: string): Promise<string | undefined> =>
  ((await get("ConfigMap", name, namespace)) as ConfigMap | undefined)?.data?.value;

export const urlOf = async (): Promise<string> => `http://${await address("deployd", own)}:8080`;

/** The API's response as plain data. */
export async function ask(path: string, options: RequestInit = {}) {
  const answer = await fetch((await urlOf()) + path, { ...options, signal: AbortSignal.timeout(60_000) });
  // biome-ignore lint/suspicious/noExplicitAny: the response has no type
  return { code: answer.status, body: (await answer.json()) as any };
}

/** deployd's summary of a repository. */
export const summary = async (name: string) => (await ask(`/deployment/${name}`)).body;

/** deployd's configuration. */
export async function configuration(): Promise<string> {
  const { data } = (await get("ConfigMap", "deployd-config", own)) as ConfigMap;
  return data?.["config.yaml"] ?? "";
}

/** Gives deployd another configuration, and makes it reload at once. */
export async function configure(text: string): Promise<void> {
  const map = (await get("ConfigMap", "deployd-config", own))!;
  await kube().replace({ ...map, data: { "config.yaml": text } } as ConfigMap);
  // kubelet updates mounted files once a minute, and when their pod changes.
  const [name = ""] = await podsOf("deployd", "server", own);
  const pod = (await get("Pod", name, own))!;
  pod.metadata.annotations = { ...pod.metadata.annotations, "test/looked-at": String(Date.now()) };
  await kube().replace(pod);
}

/** Deletes what was deployed, and deployd's records of it. */
export async function removeDeployed(): Promise<void> {
  for (const [apiVersion, kind] of [
    ["apps/v1", "Deployment"],
    ["batch/v1", "Job"],
    ["v1", "ServiceAccount"],
    ["v1", "ConfigMap"],
  ] as const)
    for (const { metadata } of await kube().list(apiVersion, kind, namespace))
      if (metadata.labels?.["deployd/repository"] || metadata.labels?.["deployd/record-of"])
        await kube().delete({ apiVersion, kind, metadata: { name: metadata.name, namespace } });
}
