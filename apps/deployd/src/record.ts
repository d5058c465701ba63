import { createHash } from "node:crypto";
import type { Cluster, Ref } from "./kube.ts";
import { titleOf } from "./objects.ts";
import { owner, ownership } from "./render.ts";
import type { RepositorySettings } from "./settings.ts";

/** The last failure, until an attempt succeeds. */
export interface Failure {
  message: string;
  /** ISO 8601. */
  at: string;
  /** The commit that failed; null if the repository could not be asked for one. */
  commit: string | null;
  /** How many attempts have failed in a row. */
  attempts: number;
}

/** What deployd knows of a repository after a restart: the content of a ConfigMap. */
export interface DeploymentRecord {
  commit: string | null;
  digest: string | null;
  deployedAt: string | null;
  /** Every object that was applied and not deleted since. */
  objects: Ref[];
  /** Those of `objects` that the deployed commit no longer declares. */
  left: Ref[];
  /** Those of `left` that an annotation keeps from being pruned. */
  kept: Ref[];
  /** Jobs that Kubernetes deletes once they have finished: the digest of what was applied, by the Job's key. */
  expiring: { [key: string]: string };
  /** What was applied of a commit before one of its objects was refused. */
  partial: { commit: string; applied: string[] } | null;
  failure: Failure | null;
  /** The commit that is being read: if deployd ends meanwhile, reading it may be the cause. */
  reading: string | null;
}

/** Before the first deployment. */
export const emptyRecord: DeploymentRecord = {
  commit: null,
  digest: null,
  deployedAt: null,
  objects: [],
  left: [],
  kept: [],
  expiring: {},
  partial: null,
  failure: null,
  reading: null,
};

/** The label of a record: its repository. */
const recordOf = "deployd/record-of";

/** One repository's record, in a ConfigMap of the namespace that it is deployed to. */
export class RecordStore {
  private readonly cluster: Cluster;
  private readonly settings: RepositorySettings;
  private read: DeploymentRecord | undefined;

  constructor(cluster: Cluster, settings: RepositorySettings) {
    this.cluster = cluster;
    this.settings = settings;
  }

  /** What is recorded; empty until `load` has succeeded. */
  get current(): DeploymentRecord {
    return this.read ?? emptyRecord;
  }

  /** Whether `load` has succeeded. */
  get loaded(): boolean {
    return this.read !== undefined;
  }

  /** Reads the record once. A commit that was being read when deployd ended is recorded as failed. */
  async load(): Promise<void> {
    if (this.loaded) return;
    const map = await this.cluster.get(this.ref, this.settings.namespace);
    const labels = map?.metadata.labels ?? {};
    // A repository's own objects have the label of ownership: none of them is taken for a record.
    if (map && (labels[recordOf] !== owner(this.settings) || labels[ownership] !== undefined))
      throw new Error(`${titleOf(this.ref)} exists and is not deployd's record of this repository: delete it`);
    const record: DeploymentRecord = map?.data?.record
      ? { ...emptyRecord, ...JSON.parse(map.data.record) }
      : emptyRecord;
    if (record.reading) await this.write({ ...record, reading: null, failure: interrupted(record, record.reading) });
    else this.read = record;
  }

  /** Records a change. Call it after `load`. */
  save(change: Partial<DeploymentRecord>): Promise<void> {
    return this.write({ ...this.current, ...change });
  }

  private async write(record: DeploymentRecord): Promise<void> {
    const { apiVersion, kind, name } = this.ref;
    await this.cluster.apply(
      {
        apiVersion,
        kind,
        // Not the label of ownership: a repository cannot declare, and so cannot change, its own record.
        metadata: { name, labels: { [recordOf]: owner(this.settings) } },
        data: { record: JSON.stringify(record) },
      },
      this.settings.namespace,
    );
    this.read = record;
  }

  private get ref(): Ref {
    const hash = createHash("sha256").update(this.settings.name.toLowerCase()).digest("hex").slice(0, 10);
    return { apiVersion: "v1", kind: "ConfigMap", name: `deployd-record-${hash}` };
  }
}

const interrupted = ({ failure }: DeploymentRecord, commit: string): Failure => ({
  message: `deployd ended while it read commit ${commit.slice(0, 10)}: it may be what took all of the memory`,
  at: new Date().toISOString(),
  commit,
  attempts: (failure?.attempts ?? 0) + 1,
});
