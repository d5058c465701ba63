import { execa } from "execa";
import { kubeconfigPath } from "../../local/cluster/index.ts";
import { helm as helmBinary } from "../unit/helm.ts";
import { kube, podList, servers, unready } from "./kit.ts";

/** The chart, from the top of the repository. */
export const chart = "charts/data-platform";

/** Runs Helm on the cluster, with its records in the namespace `platform`. Fails with its output. */
export async function helm(...args: string[]): Promise<string> {
  const all = [...args, "--kubeconfig", kubeconfigPath(), "--namespace", "platform"];
  const { exitCode, all: printed } = await execa(await helmBinary(), all, { all: true, reject: false });
  if (exitCode !== 0) throw new Error(`helm ${args.join(" ")} ended with ${exitCode}:\n${printed}`);
  return String(printed);
}

/** Options that let Helm wait for what a user would wait for. */
export const waiting = (timeout: string): string[] => ["--wait", "--wait-for-jobs", "--timeout", timeout];

/** A release of the chart in its own namespaces. */
export class Release {
  private readonly namespaces: string[];

  /** @param namespaces Those of its objects. */
  constructor(namespaces: string[]) {
    this.namespaces = namespaces;
  }

  /** The data of every Secret of the platform. */
  async secrets(): Promise<Record<string, unknown>> {
    const all = (await Promise.all(this.namespaces.map((namespace) => kube().list("v1", "Secret", namespace)))).flat();
    return Object.fromEntries(
      all.map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, (one as { data?: unknown }).data]),
    );
  }

  /** The component of each pod of a workload, by the pod's UID. */
  async components(): Promise<Map<string, string>> {
    const pods = await servers(this.namespaces);
    return new Map(pods.map(({ metadata }) => [`${metadata.uid}`, `${metadata.labels?.["app.kubernetes.io/name"]}`]));
  }

  /** The components whose pods `work` replaces. */
  async rolledBy(work: () => Promise<unknown>): Promise<string[]> {
    const before = await this.components();
    await work();
    const after = await this.components();
    return [...new Set([...after].filter(([uid]) => !before.has(uid)).map(([, component]) => component))].sort();
  }

  /** What is not ready. */
  async unready(): Promise<unknown[]> {
    return (await Promise.all(this.namespaces.map(unready))).flat();
  }

  /** Containers that restarted, with how often. */
  async restarts(): Promise<string[]> {
    return (await podList(this.namespaces)).flatMap(({ metadata, status }) =>
      ((status?.containerStatuses ?? []) as { restartCount: number }[])
        .filter(({ restartCount }) => restartCount > 0)
        .map(({ restartCount }) => `${metadata.name}: ${restartCount}`),
    );
  }
}
