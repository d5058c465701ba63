import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { byName, derived, either, given, listOf, mapFields, missing, when } from "../../config/derived.ts";
import type { RolePods, WorkloadSettings } from "../../config/pods.ts";
import { millicores } from "../../config/quantity.ts";
import type { Component } from "./component.ts";
import type { Connects, Outside } from "./network.ts";
import { priorityClass } from "./priority.ts";
import type { SecretKey } from "./secret.ts";
import { serviceAccount } from "./service-account.ts";

export type Volume = Omit<k8s.types.input.core.v1.Volume, "name">;
type Probe = k8s.types.input.core.v1.Probe;
type PodTemplate = k8s.types.input.core.v1.PodTemplateSpec;

/** A field of the pod as an environment variable, such as `status.podIP` (downward API). */
export interface PodField {
  field: string;
}

/** One key of one ConfigMap of the pod's namespace. */
export interface ConfigMapKey {
  configMap: string;
  key: string;
}

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
export interface Container<V extends string> {
  /** The full image reference, from `Component.image`. */
  image: pulumi.Input<string>;
  /** The command. Required, so that no container depends on its image's entrypoint. */
  command: string[];
  args?: string[];
  /** Plain values, keys of Secrets and ConfigMaps, and fields of the pod. A password is never a plain value. */
  env?: Record<string, Value>;
  /** Secrets and ConfigMaps whose keys become variables. `env` has precedence. */
  envFrom?: k8s.types.input.core.v1.EnvFromSource[];
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
  outside?: readonly Outside[];
  /** Name of the service account, from `serviceAccount`. Default: the component's own. */
  account?: pulumi.Input<string>;
}

/**
 * A pod template that passes the Pod Security Standard `restricted`, with a read-only root file system. No option
 * weakens it. Service links are off: a Service with an application's name would set the variable `<NAME>_PORT` for it.
 */
export function pod<V extends string>(
  component: Component,
  spec: Pod<V>,
): PodTemplate & { spec: NonNullable<PodTemplate["spec"]> } {
  const { imagePullPolicy, imagePullSecrets } = component.namespace.global;
  addToNetwork(component, spec);
  const list = (containers: Record<string, Container<V>>) =>
    listOf(containers, ([name, one]) =>
      container(name, spec.isForeign ? one : withVariables(component, one), imagePullPolicy),
    );
  const placed = component.podsOf(spec.role, spec.quorum);
  const [user, group] = [placed.runAsUser ?? spec.user, placed.runAsGroup ?? spec.group ?? spec.user];
  const selector = component.selector(spec.role);
  return {
    metadata: {
      labels: { ...component.labels(spec.role), ...placed.labels },
      annotations: { ...annotations(spec), ...placed.annotations },
    },
    spec: {
      serviceAccountName: spec.account ?? serviceAccount(component),
      automountServiceAccountToken: spec.talksToApi !== undefined && given(spec.talksOnlyFor ?? true),
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: group,
        fsGroup: group,
        // The default changes the owner of every file of a volume at each start.
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "RuntimeDefault" },
      },
      ...when(imagePullSecrets, (names) => ({ imagePullSecrets: names.map((name) => ({ name })) })),
      ...(spec.init && { initContainers: list(spec.init) }),
      containers: list(spec.containers),
      volumes: listOf<Volume, k8s.types.input.core.v1.Volume>(spec.volumes, ([name, volume]) => ({ name, ...volume })),
      terminationGracePeriodSeconds: gracePeriodOf(component, spec),
      ...(spec.restartPolicy && { restartPolicy: spec.restartPolicy }),
      ...(!spec.restartPolicy && {
        topologySpreadConstraints: [spread(selector), ...spreadOverZones(selector, placed.zones)],
      }),
      ...placement(component, placed),
    },
  };
}

/** Seconds between SIGTERM and SIGKILL. */
export const gracePeriodOf = <V extends string>(
  component: Component,
  { role, quorum, gracePeriod }: Pick<Pod<V>, "role" | "quorum" | "gracePeriod">,
): number => component.podsOf(role, quorum).terminationGracePeriodSeconds ?? gracePeriod ?? 30;

/** Adds the pods to the model of the network. */
function addToNetwork<V extends string>(component: Component, spec: Pod<V>): void {
  component.namespace.network.add({
    name: `${component.name}/${spec.role ?? ""}`,
    pods: { namespace: component.namespace.name, labels: component.selector(spec.role) },
    ports: Object.assign({}, ...Object.values(spec.containers).map(({ ports }) => ports)),
    connects: (spec.connects ?? []).flatMap((connection) => (connection ? [connection.server] : [])),
    outside: [...(spec.outside ?? [])],
    api: spec.talksToApi !== undefined,
  });
}

/** Where the stack wants a pod to run, and with which priority. */
function placement(component: Component, of: RolePods) {
  const { nodeSelector, tolerations, affinity, runtimeClassName, priority } = of;
  const { stack, global } = component.namespace;
  const own = global.priorityClasses && priority ? priorityClass(stack, priority) : undefined;
  const priorityClassName = of.priorityClassName ?? own;
  return {
    ...(nodeSelector && { nodeSelector }),
    ...(tolerations && { tolerations }),
    ...(affinity && { affinity }),
    ...(runtimeClassName && { runtimeClassName }),
    ...(priorityClassName && { priorityClassName }),
  };
}

/** What the stack says of pods that an operator or a chart makes. */
export function placementOf(component: Component, role?: string) {
  const placed = component.podsOf(role);
  const { labels = {}, annotations = {}, zones } = placed;
  return { ...placement(component, { ...placed, runtimeClassName: undefined }), labels, annotations, zones };
}

/** A container with the variables that the stack has for the component. They come last, so that they can refer to its own. */
function withVariables<V extends string>(component: Component, container: Container<V>): Container<V> {
  const { env = {}, envFrom = [] } = component.variables;
  const own = variables(env);
  return {
    ...container,
    ...(Object.keys(own).length > 0 && { env: { ...container.env, ...own } }),
    ...(envFrom.length > 0 && { envFrom: [...(container.envFrom ?? []), ...envFrom] }),
  };
}

/** Variables of a stack's `env`, in the order of their names. */
export const variables = (
  env: NonNullable<WorkloadSettings["env"]>,
): Record<string, string | SecretKey | ConfigMapKey> =>
  Object.fromEntries(
    byName(env).map(([name, value]) => {
      if (typeof value === "string") return [name, value];
      if ("secretKeyRef" in value)
        return [name, { secret: pulumi.output(value.secretKeyRef.name), key: value.secretKeyRef.key }];
      return [name, { configMap: value.configMapKeyRef.name, key: value.configMapKeyRef.key }];
    }),
  );

const annotations = ({
  checksums = {},
  talksToApi,
  talksOnlyFor = true,
}: Pick<Pod<never>, "checksums" | "talksToApi" | "talksOnlyFor">) => ({
  ...mapFields(checksums, ([of, sum]) => [`data-platform/checksum-${of}`, sum]),
  ...(talksToApi && when(talksOnlyFor, () => ({ "data-platform/talks-to-api": talksToApi }))),
});

/** Spreads replicas over nodes. Set for a single replica too, so that scaling does not change the pod template. */
const spread = (matchLabels: Record<string, string>): k8s.types.input.core.v1.TopologySpreadConstraint => ({
  maxSkew: 1,
  topologyKey: "kubernetes.io/hostname",
  // Schedule all pods even on fewer nodes.
  whenUnsatisfiable: "ScheduleAnyway",
  labelSelector: { matchLabels },
});

/** Spreads replicas over zones, if the stack wants that. Kubernetes takes no node without a zone for `required`. */
export const spreadOverZones = (
  matchLabels: Record<string, string>,
  zones: RolePods["zones"],
): k8s.types.input.core.v1.TopologySpreadConstraint[] =>
  zones === undefined || zones === "ignored"
    ? []
    : [
        {
          maxSkew: 1,
          topologyKey: "topology.kubernetes.io/zone",
          whenUnsatisfiable: zones === "required" ? "DoNotSchedule" : "ScheduleAnyway",
          labelSelector: { matchLabels },
        },
      ];

function container<V extends string>(
  name: string,
  spec: Container<V>,
  imagePullPolicy: string,
): k8s.types.input.core.v1.Container {
  return {
    name,
    image: spec.image,
    imagePullPolicy,
    command: spec.command,
    ...(spec.args && { args: spec.args }),
    ...(spec.env && { env: listOf(spec.env, variable) }),
    ...when(spec.envFrom, (envFrom) => ({ envFrom })),
    ...(spec.ports && { ports: containerPorts(spec.ports) }),
    resources: spec.resources,
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

/** A value of the stack's configuration, as Kubernetes takes it: a text, or where it is from. */
interface Given {
  given: string | k8s.types.input.core.v1.EnvVarSource;
}

export type Value = pulumi.Input<string> | SecretKey | ConfigMapKey | PodField | Given;

/** One environment variable. An Output has none of the properties that tell the references apart. */
function variable([name, value]: [string, Value]): k8s.types.input.core.v1.EnvVar {
  if (typeof value !== "object") return { name, value };
  if ("secret" in value) return { name, valueFrom: { secretKeyRef: { name: value.secret, key: value.key } } };
  if ("configMap" in value) return { name, valueFrom: { configMapKeyRef: { name: value.configMap, key: value.key } } };
  if ("given" in value) {
    const isPlain = isText(value.given);
    return {
      name,
      ...when(isPlain, () => ({ value: value.given as string })),
      ...when(missing(isPlain), () => ({ valueFrom: value.given as k8s.types.input.core.v1.EnvVarSource })),
    };
  }
  if ("field" in value) return { name, valueFrom: { fieldRef: { fieldPath: value.field } } };
  return { name, value };
}

const isText = derived("isText", (value: unknown): boolean => typeof value === "string");

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
