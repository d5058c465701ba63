import { type KubeObject, titleOf } from "../render/manifests.ts";
import type { Kube, Live } from "./client.ts";
import { readiness } from "./ready.ts";

interface ContainerStatus {
  name: string;
  ready: boolean;
  restartCount: number;
  state?: {
    waiting?: { reason?: string; message?: string };
    terminated?: { reason?: string; exitCode: number };
    running?: object;
  };
  lastState?: { terminated?: { reason?: string; exitCode: number } };
}

const statuses = ({ status }: Live): ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
];

/** Why a pod is not ready, in a few words; undefined if it is. */
export function troubleOf(pod: Live): string | undefined {
  const { name, deletionTimestamp } = pod.metadata;
  if (deletionTimestamp) return `${name} is stopping`;
  if (pod.status?.phase === "Succeeded") return undefined;
  const unscheduled = (
    pod.status?.conditions as { type: string; status: string; message?: string }[] | undefined
  )?.find(({ type, status }) => type === "PodScheduled" && status === "False");
  if (unscheduled) return `${name} has no node: ${unscheduled.message}`;
  // Init containers that have completed are not ready, and need not be.
  const stuck = statuses(pod).find(({ ready, state }) => !ready && state?.terminated?.exitCode !== 0);
  if (!stuck) return pod.status?.phase === "Running" ? undefined : `${name} is ${pod.status?.phase ?? "new"}`;
  const { waiting, terminated } = stuck.state ?? {};
  const restarts = stuck.restartCount ? `, restarted ${stuck.restartCount}×` : "";
  if (waiting) return `${name}/${stuck.name}: ${waiting.reason ?? "waiting"}${restarts}`;
  if (terminated)
    return `${name}/${stuck.name}: ${terminated.reason ?? "ended"} (exit code ${terminated.exitCode})${restarts}`;
  return `${name}/${stuck.name}: running, not ready yet${restarts}`;
}

/** The pods of a StatefulSet, Deployment, DaemonSet, Job or CloudNativePG Cluster. */
export async function podsOf(kube: Kube, { kind, metadata, spec }: Live): Promise<Live[]> {
  const of: Record<string, Record<string, string>> = {
    Job: { "batch.kubernetes.io/job-name": metadata.name },
    Cluster: { "cnpg.io/cluster": metadata.name },
  };
  const labels: Record<string, string> | undefined = of[kind] ?? spec?.selector?.matchLabels;
  if (!labels || !metadata.namespace) return [];
  const labelSelector = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  return kube.list("v1", "Pod", metadata.namespace, { labelSelector });
}

/** Why an object is not ready, in a line, for progress. */
export async function reason(kube: Kube, live: Live): Promise<string | undefined> {
  const troubles = (await podsOf(kube, live)).flatMap((pod) => troubleOf(pod) ?? []);
  return troubles.length > 1 ? `${troubles[0]}, and ${troubles.length - 1} more` : troubles[0];
}

/**
 * Why an object is not ready, at length: its pods that are not ready, each with its last events and log lines.
 * `secrets` are values to hide, since a program may have logged them.
 */
export async function diagnose(kube: Kube, live: Live, secrets: string[]): Promise<string> {
  const pods = (await podsOf(kube, live)).flatMap((pod) => {
    const trouble = troubleOf(pod);
    return trouble ? [{ pod, trouble }] : [];
  });
  const report: string[] = [];
  if (pods.length === 0) report.push(...(await events(kube, live)));
  for (const { pod, trouble } of pods.slice(0, 3)) {
    report.push(`${titleOf(pod)}: ${trouble.slice(pod.metadata.name.length + 1)}`, ...(await events(kube, pod)));
    for (const status of statuses(pod).filter(({ ready, state }) => !ready && state?.terminated?.exitCode !== 0)) {
      // For a container that waits for a restart, the log of its previous run.
      const previous = status.restartCount > 0 && status.state?.waiting !== undefined;
      const text = await kube.log(pod, { container: status.name, previous, lines: 15 });
      const lines = text.trimEnd().split("\n").filter(Boolean);
      if (lines.length > 0)
        report.push(`  last lines of ${status.name}:`, ...lines.map((line) => `    ${line.slice(0, 300)}`));
    }
  }
  return hide(report.join("\n"), secrets);
}

async function events(kube: Kube, { kind, metadata }: Live): Promise<string[]> {
  if (!metadata.namespace) return [];
  const fieldSelector = `involvedObject.kind=${kind},involvedObject.name=${metadata.name},involvedObject.uid=${metadata.uid}`;
  const found = (await kube.list("v1", "Event", metadata.namespace, { fieldSelector })) as unknown as {
    lastTimestamp?: string;
    eventTime?: string;
    type: string;
    reason: string;
    message: string;
    count?: number;
  }[];
  const when = (event: (typeof found)[number]) => event.lastTimestamp ?? event.eventTime ?? "";
  const last = found.sort((a, b) => (when(a) < when(b) ? -1 : 1)).slice(-5);
  return last.map(
    (event) => `  ${event.reason}${(event.count ?? 1) > 1 ? ` ×${event.count}` : ""}: ${event.message.trim()}`,
  );
}

/** Hides secret values in a text. Not short ones, which would match ordinary words. */
export function hide(text: string, secrets: string[]): string {
  return secrets
    .filter((secret) => secret.length >= 8)
    .reduce((shown, secret) => shown.replaceAll(secret, "•••"), text);
}

/** Diagnoses several objects, without those that are ready. */
export async function diagnoseAll(kube: Kube, objects: KubeObject[], secrets: string[]): Promise<string> {
  const found = await Promise.all(objects.map((object) => kube.get(object)));
  const stuck = found.filter((live) => live !== undefined).filter((live) => readiness(live).state !== "ready");
  return (await Promise.all(stuck.map((live) => diagnose(kube, live, secrets)))).filter(Boolean).join("\n");
}

/** Keys with names of users, which would match ordinary words. */
const isName = (key: string): boolean => /(^|-)user(name)?$|^access-key$/.test(key);

/** Every value of every Secret in some namespaces: what must not be shown. */
export async function secretsIn(kube: Kube, namespaces: string[]): Promise<string[]> {
  const all = await Promise.all(namespaces.map((namespace) => kube.list("v1", "Secret", namespace)));
  return all
    .flat()
    .flatMap(({ data }) => Object.entries((data as Record<string, string> | undefined) ?? {}))
    .flatMap(([key, value]) => (isName(key) ? [] : [Buffer.from(value, "base64").toString()]));
}
