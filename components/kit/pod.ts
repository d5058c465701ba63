import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import {
  allFields,
  conditionsOf,
  derived,
  derivedFields,
  either,
  given as isGiven,
  listOf,
  mapFields,
  when,
} from "../../config/derived.ts";
import type { RolePods } from "../../config/pods.ts";
import { millicores } from "../../config/quantity.ts";
import type { Component } from "./component.ts";
import { scratchOf, withDisk } from "./disk.ts";
import { type OwnVariables, type Variables, variables } from "./environment.ts";
import type { Connects, Outside } from "./network.ts";
import { placement, spread } from "./placement.ts";
import type { SecretKey } from "./secret.ts";
import { serviceAccount } from "./service-account.ts";
import { choosesUsers, namesIds, withUser } from "./user.ts";

export type Volume = Omit<k8s.types.input.core.v1.Volume, "name">;
type Probe = k8s.types.input.core.v1.Probe;
type PodTemplate = k8s.types.input.core.v1.PodTemplateSpec;

/** Ports by name: a number is a TCP port. */
export type Ports = Record<string, number | { udp: number }>;

export interface Resources {
  requests: { cpu: string; memory: string };
  limits: { memory: string; cpu?: string };
}

/**
 * Resources of a setup Job or an init container: `own`, with a CPU limit if the server has one. A ResourceQuota on CPU
 * limits rejects containers without.
 */
export function limitedAs(server: { limits: { cpu?: string | undefined } }, own: Resources): Resources {
  const { cpu } = server.limits;
  const request = either(
    cpu,
    (limit) => smallerCpu(own.requests.cpu, limit),
    () => own.requests.cpu,
  );
  return {
    requests: { ...own.requests, cpu: request },
    limits: { ...own.limits, ...when(cpu, (limit) => ({ cpu: limit })) },
  };
}

/** The smaller of two CPU quantities. */
const smallerCpu = derived("smallerCpu", (one: string, other: string): string =>
  millicores(one) > millicores(other) ? other : one,
);

/** Path in the container → volume, or a directory `subPath` of a volume. */
type Mounts<V extends string> = Partial<Record<string, V | { volume: V; readOnly?: boolean; subPath?: string }>>;

/** One container. `V` is the union of the pod's volumes: a mount of another one does not compile. */
export interface Container<V extends string> extends OwnVariables {
  /** The full image reference, from `Component.image`. */
  image: pulumi.Input<string>;
  /** The command. Required, so that no container depends on its image's entrypoint. */
  command: string[];
  args?: string[];
  ports?: Ports;
  resources: Resources;
  /** The root file system is read-only: mount a volume at each path that is written. */
  mounts?: Mounts<V>;
  startup?: Probe;
  readiness?: Probe;
  liveness?: Probe;
  /** Runs before the container receives SIGTERM, within the pod's grace period: a command, or `drain`. */
  preStop?: string[] | { sleep: number };
}

export interface Pod<V extends string> {
  /** User ID of the image's own user. Pods never run as root. */
  user: number;
  /** Group ID. Default: the same number as `user`. */
  group?: number;
  /** The workload's role within the component: the label app.kubernetes.io/component. */
  role?: string;
  /** Init containers by name, in their order. */
  init?: Record<string, Container<V>>;
  containers: Record<string, Container<V>>;
  volumes: Record<V, Volume>;
  /** Whether the pod runs other software than the component's, which the stack's variables are not for. Default: false. */
  isForeign?: boolean;
  /** Checksums of files and Secrets that the pod reads only at its start. A change rolls the pod. */
  checksums?: Record<string, pulumi.Input<string>>;
  /** Seconds between SIGTERM and SIGKILL, unless the stack has others. Default: 30, Kubernetes' own. */
  gracePeriod?: number;
  /** Whether the replicas decide by majority: then no zone may have more of them than its share. Default: false. */
  quorum?: boolean;
  restartPolicy?: "Never" | "OnFailure";
  /**
   * Why the pod uses the Kubernetes API. It gets the token of its service account, and the reason as an annotation.
   * Grant rights with `permissions`. Default: no token.
   */
  talksToApi?: string;
  /** What must be set for `talksToApi` to hold. Default: it always does. */
  talksOnlyFor?: unknown;
  /**
   * What the pod connects to. With `global.networkPolicies` everything else is denied. Default: nothing, apart from DNS,
   * and the API server with `talksToApi`.
   */
  connects?: readonly (Connects | undefined)[];
  /** Addresses outside the cluster that the pod connects to, by their URLs. Default: none. */
  outside?: readonly (Outside | undefined)[];
  /**
   * The name of its user, for software that looks it up in /etc/passwd, where a user id that the cluster chose is not.
   * Default: it looks up none.
   */
  userName?: string;
  /** Name of the service account, from `serviceAccount`. Default: the component's own. */
  account?: pulumi.Input<string>;
}

/**
 * A pod template that passes the Pod Security Standard `restricted`, with a read-only root file system. No option
 * weakens it. Service links are off: a Service with an application's name would set the variable `<NAME>_PORT` for it.
 */
export function pod<V extends string>(
  component: Component,
  given: Pod<V>,
): PodTemplate & { spec: NonNullable<PodTemplate["spec"]> } {
  const { cluster, imagePullPolicy, imagePullSecrets } = component.namespace.global;
  addToNetwork(component, given);
  const chosen = choosesUsers(cluster);
  const spec = given.userName ? withUser(given, given.userName, chosen) : given;
  const scratch = scratchOf(spec.volumes, Object.values(spec.containers));
  const list = (containers: Record<string, Container<string>>) =>
    listOf(containers, ([name, one]) =>
      container(name, one, {
        imagePullPolicy,
        scratch: scratch(one),
        variables: spec.isForeign ? {} : component.variables,
      }),
    );
  const placed = component.podsOf(spec.role, spec.quorum);
  const user = numberOf(placed, "runAsUser", spec.user);
  const group = numberOf(placed, "runAsGroup", spec.group ?? spec.user);
  const ids = { runAsUser: user, runAsGroup: group, fsGroup: group };
  const selector = component.selector(spec.role);
  return {
    metadata: {
      labels: { ...component.labels(spec.role), ...textsOf(placed, "labels") },
      annotations: { ...annotations(spec), ...textsOf(placed, "annotations") },
    },
    spec: {
      serviceAccountName: spec.account ?? serviceAccount(component),
      automountServiceAccountToken: spec.talksToApi !== undefined && isGiven(spec.talksOnlyFor ?? true),
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        // Unless the cluster chooses them; a stack that names a user has the right to it.
        ...when(namesIds(placed, cluster), () => ids),
        // The default changes the owner of every file of a volume at each start.
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "RuntimeDefault" },
      },
      ...when(imagePullSecrets, (names) => ({ imagePullSecrets: names.map((name) => ({ name })) })),
      ...(given.init
        ? { initContainers: list(spec.init ?? {}) }
        : // Not an empty list for other clusters.
          given.userName && when(chosen, () => ({ initContainers: list(spec.init ?? {}) }))),
      containers: list(spec.containers),
      volumes: listOf<Volume, k8s.types.input.core.v1.Volume>(spec.volumes, ([name, volume]) => ({ name, ...volume })),
      terminationGracePeriodSeconds: gracePeriodOf(component, spec),
      ...(spec.restartPolicy && { restartPolicy: spec.restartPolicy }),
      ...(!spec.restartPolicy && { topologySpreadConstraints: spread(selector, placed) }),
      ...placement(component, placed),
    },
  };
}

/** Seconds between SIGTERM and SIGKILL. */
export const gracePeriodOf = <V extends string>(
  component: Component,
  { role, quorum, gracePeriod }: Pick<Pod<V>, "role" | "quorum" | "gracePeriod">,
): number => numberOf(component.podsOf(role, quorum), "terminationGracePeriodSeconds", gracePeriod ?? 30);

/** A number that a stack may say of pods, or the usual one. */
const numberOf = derived(
  "numberOf",
  (pods: RolePods, key: "runAsUser" | "runAsGroup" | "terminationGracePeriodSeconds", usual: number): number =>
    pods[key] ?? usual,
);

/** The labels or annotations that a stack has for pods. */
const textsOf = derivedFields(
  "textsOf",
  (pods: RolePods, key: "labels" | "annotations"): Record<string, string> => pods[key] ?? {},
);

/** Counts `count` pods for the namespace's quota. */
export function countPods<V extends string>({ namespace }: Component, count: () => number, spec: Pod<V>): void {
  const { containers, init = {} } = spec;
  namespace.usage?.pods(namespace.name, count(), {
    containers: Object.values(containers).map(({ resources }) => resources),
    init: Object.values(init).map(({ resources }) => resources),
  });
}

/** Adds the pods to the model of the network. */
function addToNetwork<V extends string>(component: Component, spec: Pod<V>): void {
  component.namespace.network.add({
    name: `${component.name}/${spec.role ?? ""}`,
    pods: { namespace: component.namespace.name, labels: component.selector(spec.role) },
    ports: Object.assign({}, ...Object.values(spec.containers).map(({ ports = {} }) => allFields(ports))),
    connects: (spec.connects ?? []).flatMap((connection) =>
      connection ? [{ ...connection.server, conditions: conditionsOf(connection) }] : [],
    ),
    outside: (spec.outside ?? []).flatMap((address) =>
      address ? [{ ...address, conditions: conditionsOf(address) }] : [],
    ),
    api: spec.talksToApi === undefined ? undefined : { conditions: conditionsOf(spec.talksOnlyFor ?? true) },
  });
}

const annotations = ({
  checksums = {},
  talksToApi,
  talksOnlyFor = true,
}: Pick<Pod<never>, "checksums" | "talksToApi" | "talksOnlyFor">) => ({
  ...mapFields(checksums, ([of, sum]) => [`data-platform/checksum-${of}`, sum]),
  ...(talksToApi && when(talksOnlyFor, () => ({ "data-platform/talks-to-api": talksToApi }))),
});

function container(
  name: string,
  spec: Container<string>,
  {
    imagePullPolicy,
    scratch,
    variables: given,
  }: { imagePullPolicy: string; scratch: readonly string[]; variables: Variables },
): k8s.types.input.core.v1.Container {
  return {
    name,
    image: spec.image,
    imagePullPolicy,
    command: spec.command,
    ...(spec.args && { args: spec.args }),
    ...variables(spec, given),
    ...(spec.ports && { ports: containerPorts(spec.ports) }),
    resources: withDisk(spec.resources, scratch),
    ...(spec.mounts && { volumeMounts: volumeMounts(spec.mounts) }),
    ...(spec.startup && { startupProbe: spec.startup }),
    ...(spec.readiness && { readinessProbe: spec.readiness }),
    ...(spec.liveness && { livenessProbe: spec.liveness }),
    ...(spec.preStop && { lifecycle: { preStop: preStop(spec.preStop) } }),
    // Keep the end of the log in the pod's status, for a container that died.
    terminationMessagePolicy: "FallbackToLogsOnError",
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
  };
}

const preStop = (before: string[] | { sleep: number }) =>
  Array.isArray(before) ? { exec: { command: before } } : { sleep: { seconds: before.sleep } };

const containerPorts = (ports: Ports) =>
  listOf(ports, ([name, port]) =>
    typeof port === "number" ? { name, containerPort: port } : { name, containerPort: port.udp, protocol: "UDP" },
  );

const volumeMounts = <V extends string>(mounts: Mounts<V>) =>
  listOf<Mounts<V>[string], k8s.types.input.core.v1.VolumeMount | undefined>(mounts, ([mountPath, mount]) => {
    if (mount === undefined) return undefined;
    if (typeof mount !== "object") return { name: mount, mountPath };
    const { volume, readOnly, subPath } = mount;
    return { name: volume, mountPath, ...(readOnly && { readOnly }), ...(subPath && { subPath }) };
  }).filter((mount) => mount !== undefined);

/** An emptyDir of at most `size`. `memory`: a tmpfs, which counts as the containers' memory. */
export const scratch = (of: { size: string; memory?: boolean }): Volume => ({
  emptyDir: { sizeLimit: of.size, ...(of.memory && { medium: "Memory" }) },
});

/** The files of a ConfigMap. */
export const configFiles = (configMap: pulumi.Input<string>): Volume => ({ configMap: { name: configMap } });

/** Keys of Secrets as files: file name → key. */
export const secretFiles = (files: Record<string, SecretKey>): Volume => ({
  projected: {
    sources: listOf(files, ([path, { secret, key }]) => ({ secret: { name: secret, items: [{ key, path }] } })),
  },
});

/** When a probe runs and fails. */
interface Timing {
  /** Seconds between two probes. Default: 10. */
  every?: number;
  /** Seconds until a probe times out. Default: 5. */
  within?: number;
  /** Consecutive failures after which the probe fails. Default: 3. */
  failures?: number;
}

const timing = ({ every = 10, within = 5, failures = 3 }: Timing) => ({
  periodSeconds: every,
  timeoutSeconds: within,
  failureThreshold: failures,
});

/**
 * For liveness: fails after three minutes. A restart fixes a server that hangs, but not a busy machine: starting takes
 * more CPU than running.
 */
export const lenientLiveness: Timing = { within: 10, failures: 18 };

/**
 * `preStop` for servers with replicas: serve five more seconds, while nodes remove the pod from their load balancing.
 * Needs Kubernetes 1.30 or newer, which sleeps without a process in the container.
 */
export const drain = { sleep: 5 };

/** Probe that succeeds if the command exits with 0. */
export const execProbe = (command: string[], when: Timing = {}): Probe => ({ exec: { command }, ...timing(when) });

/** Probe that succeeds if the port accepts a connection, for software without a better check. */
export const tcpProbe = (port: string, when: Timing = {}): Probe => ({ tcpSocket: { port }, ...timing(when) });

/** Probe that succeeds if GET returns a status from 200 to 399. */
export const httpProbe = (path: string, port: string, when: Timing = {}): Probe => ({
  httpGet: { path, port },
  ...timing(when),
});
