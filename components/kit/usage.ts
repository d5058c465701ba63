import * as pulumi from "@pulumi/pulumi";
import { type Bytes, bytes, millicores } from "../../config/quantity.ts";
import type { Resources } from "./pod.ts";

/** What a namespace's pods and volumes may request together. */
export interface Total {
  /** Millicores. */
  cpu: number;
  memory: Bytes;
  /** Of volumes. */
  storage: Bytes;
  pods: number;
  /** The largest memory limit of a container. */
  largest: Bytes;
}

interface Limited {
  requests: Resources["requests"];
  limits: { memory: string };
}

/**
 * What the stack's workloads request in each namespace, for the quotas that follow from it. The namespaces are created
 * before the workloads, so their quotas wait until `complete` is called.
 */
export class Usage {
  private readonly totals = new Map<string, Total>();
  private readonly completed: Promise<void>;
  private resolve: () => void = () => {};

  constructor() {
    this.completed = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  /** Adds `count` pods. Their init containers run one after another, before the containers, which run together. */
  pods(namespace: string, count: number, pod: { containers: readonly Limited[]; init?: readonly Limited[] }): void {
    const total = this.of(namespace);
    const { containers, init = [] } = pod;
    const request = (of: (one: Limited) => number) =>
      Math.max(
        containers.map(of).reduce((sum, one) => sum + one, 0),
        ...init.map(of),
      );
    total.cpu += count * request(({ requests }) => millicores(requests.cpu));
    total.memory += count * request(({ requests }) => bytes(requests.memory));
    total.pods += count;
    total.largest = Math.max(total.largest, ...[...containers, ...init].map(({ limits }) => bytes(limits.memory)));
  }

  /** Adds volumes. */
  volumes(namespace: string, count: number, size: string): void {
    this.of(namespace).storage += count * bytes(size);
  }

  /** To be called when every workload has been added. */
  complete(): void {
    this.resolve();
  }

  /** The total of a namespace, once it is known. */
  total(namespace: string): pulumi.Output<Total> {
    return pulumi.output(this.completed.then(() => this.of(namespace)));
  }

  private of(namespace: string): Total {
    const total = this.totals.get(namespace) ?? { cpu: 0, memory: 0, storage: 0, pods: 0, largest: 0 };
    this.totals.set(namespace, total);
    return total;
  }
}

/**
 * How many pods of a Deployment there may be at once: during an update each new pod may start while the old one still
 * stops, unless all old ones stop first.
 */
export const whileUpdating = (replicas: number, upgrade: "surge" | "recreate" | undefined): number =>
  upgrade === "recreate" ? replicas : 2 * replicas;

const gibi = 2 ** 30;

/**
 * A quota with room for a tenth more, for clients and Jobs that people start, rounded up to whole CPUs and GiB. `own`:
 * values of the stack's configuration, which replace these.
 */
export function quotaOf(
  { cpu, memory, storage, pods }: Total,
  own: { cpu?: string; memory?: string; storage?: string; pods?: number } = {},
): Record<string, string> {
  const more = (of: number) => of * 1.1;
  return {
    "requests.cpu": own.cpu ?? `${Math.ceil(more(cpu) / 1000)}`,
    "requests.memory": own.memory ?? `${Math.ceil(more(memory) / gibi)}Gi`,
    "requests.storage": own.storage ?? `${Math.ceil(more(storage) / gibi)}Gi`,
    // A few, however small the namespace.
    pods: String(own.pods ?? Math.ceil(more(pods)) + 5),
  };
}

const mebi = 2 ** 20;
/** Memory limit of a container that has none, unless the namespace's largest is smaller. */
const usualMemory = 512 * mebi;

/** Limits of containers: defaults for those without, and no more memory than the largest of the platform's. */
export function limitsOf({ largest }: Total) {
  const most = Math.max(largest, usualMemory);
  return [
    {
      type: "Container",
      default: { memory: `${usualMemory / mebi}Mi`, "ephemeral-storage": "1Gi" },
      defaultRequest: { cpu: "100m", memory: `${usualMemory / mebi}Mi`, "ephemeral-storage": "128Mi" },
      max: { memory: `${Math.ceil(most / mebi)}Mi` },
    },
  ];
}
