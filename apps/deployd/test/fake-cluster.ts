import { ApiError, type Capabilities, type Cluster, type KubeObject, type Ref, Unsupported } from "../src/kube.ts";

/** A cluster in memory: applies, refuses and counts as a test says. Its merging is that of whole objects. */
export class FakeCluster implements Cluster {
  readonly objects = new Map<string, KubeObject>();
  /** What was done to it, `apply ConfigMap a`, without trials and records. */
  readonly done: string[] = [];
  /** Kinds and names that it refuses: `ConfigMap a`. */
  readonly refused = new Map<string, string>();
  /** What it says no to only when it comes to it, not in a trial. */
  readonly refusedAtLast = new Map<string, string>();
  /** Objects that cannot become what is declared: they have to be deleted first. */
  readonly immutable = new Set<string>();
  /** Kinds that deployd has no right to. */
  readonly unsupported = new Set<string>();
  private count = 0;

  async capabilities(): Promise<Capabilities> {
    return { version: "v1.36.0", apis: ["v1", "v1/ConfigMap"] };
  }

  async get({ kind, name }: Ref): Promise<KubeObject | undefined> {
    if (this.unsupported.has(kind)) throw new Unsupported(`deployd has no right to get ${kind}`);
    return structuredClone(this.objects.get(`${kind} ${name}`));
  }

  async apply(object: KubeObject, namespace: string, dryRun = false): Promise<KubeObject> {
    const key = `${object.kind} ${object.metadata.name}`;
    const message = this.refused.get(key) ?? (dryRun ? undefined : this.refusedAtLast.get(key));
    if (message) throw new Error(message);
    if (this.immutable.has(key) && this.objects.has(key)) throw new ApiError(422, "spec.template: field is immutable");
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

  async delete({ kind, name }: Ref, _namespace: string, _uid: string, orphan = false): Promise<void> {
    this.objects.delete(`${kind} ${name}`);
    this.immutable.delete(`${kind} ${name}`);
    this.done.push(`${orphan ? "orphan" : "delete"} ${kind} ${name}`);
  }

  async adopt({ kind, metadata }: KubeObject): Promise<void> {
    this.done.push(`adopt ${kind} ${metadata.name}`);
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
