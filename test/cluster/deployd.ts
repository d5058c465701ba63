import { stringify } from "yaml";
import type { Live } from "../../engine/kube.ts";
import { address, get, kube, podsOf, small, smallStack } from "./kit.ts";

/** The namespace deployd runs in. */
const own = small.apps;
/** The namespace it deploys to. */
const namespace = small.deployed;

const configName = "deployd-config";

type ConfigMap = Live & { data?: Record<string, string> };
const readMap = async (name: string, from: string) => (await get("ConfigMap", name, from)) as ConfigMap | undefined;

/** A ConfigMap with the one key `value`, as a manifest. */
export const configMap = (name: string, value: string): string =>
  stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { value } });

/** What a deployed ConfigMap of `configMap` holds; undefined without one. */
export const deployedValue = async (name: string): Promise<string | undefined> =>
  (await readMap(name, namespace))?.data?.value;

/** Brings up the stack and returns deployd's URL and the configuration that the stack gives it. */
export async function deploydUp(): Promise<{ url: string; configuration: string }> {
  await smallStack();
  const configuration = (await readMap(configName, own))?.data?.["config.yaml"];
  if (!configuration) throw new Error(`ConfigMap ${own}/${configName} has no config.yaml`);
  return { url: `http://${await address("deployd", own)}:8080`, configuration };
}

/** Replaces deployd's configuration, and has the node update the mounted file now. */
export async function configure(text: string): Promise<void> {
  const map = await readMap(configName, own);
  if (!map) throw new Error(`ConfigMap ${own}/${configName} is missing`);
  const changed: ConfigMap = { ...map, data: { "config.yaml": text } };
  await kube().replace(changed);
  // kubelet updates mounted files once a minute, and when their pod's metadata changes.
  const [name = ""] = await podsOf("deployd", "server", own);
  const pod = await get("Pod", name, own);
  if (!pod) throw new Error(`deployd has no pod in ${own}`);
  pod.metadata.annotations = { ...pod.metadata.annotations, "test/looked-at": String(Date.now()) };
  await kube().replace(pod);
}

const kinds = [
  ["apps/v1", "Deployment"],
  ["batch/v1", "Job"],
  ["v1", "ServiceAccount"],
  ["v1", "ConfigMap"],
] as const;

/** Deletes everything that deployd deployed, and its records. */
export async function deleteDeployed(): Promise<void> {
  for (const [apiVersion, kind] of kinds)
    for (const { metadata } of await kube().list(apiVersion, kind, namespace))
      if (metadata.labels?.["deployd/repository"] || metadata.labels?.["deployd/record-of"])
        await kube().delete({ apiVersion, kind, metadata: { name: metadata.name, namespace } });
}

/** What deployd's API answers to a request. */
export async function ask(url: string, options: RequestInit = {}) {
  const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(60_000) });
  // biome-ignore lint/suspicious/noExplicitAny: what the API answers, as plain data
  return { code: answer.status, body: (await answer.json()) as any };
}
