import type { Capabilities, Cluster, KubeObject, Ref } from "../src/kube.ts";

/** A cluster in memory: applies, refuses and counts as a test says. Its merging is that of whole objects. */
export class FakeCluster implements Cluster {
  readonly objects = new Map<string, KubeObject>();
  /** What was done to it, `apply ConfigMap a`, without trials and records. */
  readonly done: string[] = [];
  /** Kinds and names that it refuses: `ConfigMap a`. */
  readonly refused = new Map<string, string>();
  private count = 0;

  async capabilities(): Promise<Capabilities> {
    return { version: "v1.36.0", apis: ["v1", "v1/ConfigMap"] };
  }

  async get({ kind, name }: Ref): Promise<KubeObject | undefined> {
    return structuredClone(this.objects.get(`${kind} ${name}`));
  }

  async apply(object: KubeObject, namespace: string, dryRun = false): Promise<KubeObject> {
    const key = `${object.kind} ${object.metadata.name}`;
    const message = this.refused.get(key);
    if (message) throw new Error(message);
    const before = this.objects.get(key);
    const applied = structuredClone({
      ...object,
      metadata: { ...object.metadata, namespace, uid: before?.metadata.uid ?? `uid-${this.count++}` },
    });
    if (dryRun) return applied;
    this.objects.set(key, applied);
    if (!this.isRecord(object.metadata.name)) this.done.push(`apply ${key}`);
    return applied;
  }

  async delete({ kind, name }: Ref): Promise<void> {
    this.objects.delete(`${kind} ${name}`);
    this.done.push(`delete ${kind} ${name}`);
  }

  async pods(): Promise<KubeObject[]> {
    return [];
  }

  /** All that is there but for records. */
  names(): string[] {
    return [...this.objects.keys()].filter((key) => !this.isRecord(key.split(" ")[1]!)).sort();
  }

  private isRecord = (name: string) => name.startsWith("deployd-record-");
}

export const configMap = (name: string, value: string, more = ""): string =>
  `{ apiVersion: v1, kind: ConfigMap, metadata: { name: ${name} ${more} }, data: { value: "${value}" } }`;
