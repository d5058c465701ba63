import { type Conditions, conditionsOf, forAny } from "../../config/derived.ts";
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

/** What exists for some values of the configuration only. */
interface Conditional {
  /** Under which it exists. Only while the Helm chart is written. */
  conditions?: Conditions | undefined;
}

/** Where a client connects to. The conditions are those of the connection. */
export interface Server extends Conditional {
  pods: Pods;
  /** Numbers or names of ports of the pods' containers; `any`: ports that the software picks as it runs. */
  ports: readonly (number | string)[] | "any";
}

/** An address outside the cluster, by a URL of the configuration. */
export interface Outside extends Conditional {
  /** What is there, as a page says it: `git repository`. */
  what: string;
  url: string;
}

/** A connection, or any other object that knows its server. */
export interface Connects {
  server: Server;
}

/** The pods of one workload, and what they connect to. */
export interface Workload extends Conditional {
  /** Component and role: `trino/worker`. */
  name: string;
  pods: Pods;
  /** Ports of its containers, by name. */
  ports: Ports;
  connects: Server[];
  outside: Outside[];
  /** Whether its pods use the Kubernetes API: undefined if not. */
  api?: Conditional | undefined;
}

/** A server that clients outside the model may use. */
export interface Front extends Conditional {
  server: Server;
  /** By what it is open to everyone: `NodePort`, `LoadBalancer`, `Ingress`, or the API server that calls a webhook. Default: to `allowFrom` only. */
  exposedBy?: string | undefined;
  /** Where connections of the front door's controller, or of an autoscaler, come from. Default: there are none to this server. */
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
    const conditions = conditionsOf(true, workload.name);
    if (!known) {
      const added = { ...workload, conditions };
      this.workloads.push(added);
      return added;
    }
    Object.assign(known.ports, workload.ports);
    known.connects.push(...workload.connects);
    known.outside.push(...workload.outside);
    known.api ??= workload.api;
    known.conditions = forAny([known.conditions, conditions]);
    return known;
  }

  /** Lets clients outside the model in, at `front`. */
  open(front: Front): void {
    this.fronts.push({ ...front, conditions: conditionsOf(true) });
  }
}

/** Whether both are the pods of the same workload. */
export const samePods = (one: Pods, other: Pods): boolean => identity(one) === identity(other);

const identity = ({ namespace, labels }: Pods): string => JSON.stringify([namespace, Object.entries(labels).sort()]);
