import { ApiError, type Kube, type Live } from "../kube/client.ts";
import { UserError } from "../local/step.ts";
import { keyOf, type Manifest, titleOf } from "../render/manifests.ts";
import type { Stored } from "./values.ts";

/** An object that this engine has applied. */
export interface Known {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  /** Keys of what it depends on: those are deleted after it. */
  dependsOn: string[];
  protect: boolean;
  retainOnDelete: boolean;
  patch: boolean;
  /** A namespace that was there before the stack: it stays when the stack is destroyed. */
  adopted?: true;
}

/** What this engine remembers of a stack. */
export interface State {
  values: Record<string, Stored>;
  /** What was applied, or is about to be, each after what it depends on. */
  inventory: Known[];
  /** What was left in the cluster on purpose when it was removed from the program: it may be taken up again. */
  orphans: Known[];
}

/**
 * The state lives in `kube-system`, in the cluster that it describes: every cluster has that namespace before
 * anything of ours exists in it and after all of ours is gone, no stack can be configured to use or delete it, and
 * whoever may make namespaces may write there.
 */
const namespace = "kube-system";
export const stateName = (stack: string): string => `data-platform-state-${stack}`;

export const knownOf = ({ object, dependsOn, protect, retainOnDelete, patch }: Manifest): Known => ({
  apiVersion: object.apiVersion,
  kind: object.kind,
  metadata: { name: object.metadata.name, ...(object.metadata.namespace && { namespace: object.metadata.namespace }) },
  dependsOn,
  protect,
  retainOnDelete,
  patch,
});

/** Loads, keeps and removes a stack's state. Each write is one write of one object: it is there or it is not. */
export class StateStore {
  private readonly kube: Kube;
  private readonly stack: string;
  private live?: Live;

  constructor(kube: Kube, stack: string) {
    this.kube = kube;
    this.stack = stack;
  }

  private get secret() {
    return { apiVersion: "v1", kind: "Secret", metadata: { name: stateName(this.stack), namespace } };
  }

  /** Undefined when this engine has nothing in the cluster. */
  async load(): Promise<State | undefined> {
    this.live = await this.kube.get(this.secret);
    const data = this.live?.data as { state?: string } | undefined;
    if (!this.live) return undefined;
    try {
      return JSON.parse(Buffer.from(data!.state!, "base64").toString()) as State;
    } catch {
      throw new UserError(
        `${titleOf(this.secret)}: not readable as the state of stack ${this.stack}; it holds the stack's passwords: ` +
          "restore it, or delete it and everything of the stack to begin anew",
      );
    }
  }

  async save(state: State): Promise<void> {
    const object = {
      ...this.secret,
      metadata: { ...this.secret.metadata, labels: { "app.kubernetes.io/part-of": "data-platform" } },
      type: "data-platform/state",
      data: { state: Buffer.from(JSON.stringify(state)).toString("base64") },
    };
    try {
      if (this.live) {
        const { data: before } = this.live;
        if ((before as { state?: string }).state === object.data.state) return;
        const { uid, resourceVersion } = this.live.metadata;
        this.live = await this.kube.replace({ ...object, metadata: { ...object.metadata, uid, resourceVersion } });
      } else this.live = await this.kube.create(object);
    } catch (error) {
      if (error instanceof ApiError && error.code === 409)
        throw new UserError(
          `stack ${this.stack}: someone else is changing it in this cluster right now; try again later`,
        );
      throw error;
    }
  }

  async remove(): Promise<void> {
    if (this.live) await this.kube.delete(this.secret, this.live.metadata.uid);
    delete this.live;
  }
}

/** Old and new together, new facts first: what an interrupted run may have touched. */
export function union(before: Known[], now: Known[]): Known[] {
  const current = new Set(now.map(keyOf));
  return [...now, ...before.filter((known) => !current.has(keyOf(known)))];
}
