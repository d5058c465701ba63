import type { Ports } from "./pod.ts";

/*
 * What the program knows about the network: the pods of each workload, what they connect to, and what is exposed.
 * Filled while components are created; `flows` (flows.ts) turns it into allowed connections. Pure data.
 */

/** Pods of one workload: the same namespace and labels as its selector. */
export interface Pods {
  /** Name in the cluster. */
  namespace: string;
  labels: Record<string, string>;
}

/** Where a client connects to. */
export interface Server {
  pods: Pods;
  /** Numbers or names of ports of the pods' containers; `any`: ports that the software picks as it runs. */
  ports: readonly (number | string)[] | "any";
}

/** An address outside the cluster, by a URL of the configuration. */
export interface Outside {
  /** What is there, as a page says it: `git repository`. */
  what: string;
  url: string;
}

/** A connection, or any other object that knows its server. */
export interface Connects {
  server: Server;
}

/** The pods of one workload, and what they connect to. */
export interface Workload {
  /** Component and role: `trino/worker`. */
  name: string;
  pods: Pods;
  /** Ports of its containers, by name. */
  ports: Ports;
  connects: Server[];
  outside: Outside[];
  /** Whether its pods use the Kubernetes API. */
  api: boolean;
}

/** A server that clients outside the model may use. */
export interface Front {
  server: Server;
  /** By what it is open to everyone: `NodePort`, `LoadBalancer`, `Ingress`, or the API server that calls a webhook. Default: to `allowFrom` only. */
  exposedBy?: string | undefined;
  /** Where the connections of the front door's controller come from. Default: it has none to this server. */
  controller?:
    | { namespaceLabels?: Record<string, string>; podLabels?: Record<string, string>; cidr?: string }
    | undefined;
}

/** Collects the network's model of one stack. */
export class Network {
  readonly workloads: Workload[] = [];
  readonly fronts: Front[] = [];

  /** Adds a workload. Jobs and their CronJob's template may have the same pods: they are one workload with the ports and connections of both. */
  add(workload: Workload): Workload {
    const known = this.workloads.find(({ pods }) => samePods(pods, workload.pods));
    if (!known) {
      this.workloads.push(workload);
      return workload;
    }
    Object.assign(known.ports, workload.ports);
    known.connects.push(...workload.connects);
    known.outside.push(...workload.outside);
    known.api ||= workload.api;
    return known;
  }

  /** Lets clients outside the model in, at `front`. */
  open(front: Front): void {
    this.fronts.push(front);
  }
}

/** Whether both are the pods of the same workload. */
export const samePods = (one: Pods, other: Pods): boolean => identity(one) === identity(other);

const identity = ({ namespace, labels }: Pods): string => JSON.stringify([namespace, Object.entries(labels).sort()]);
