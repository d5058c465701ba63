import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { millicores } from "../../config/quantity.ts";
import type { Component } from "./component.ts";
import type { SecretKey } from "./secret.ts";
import { serviceAccount } from "./service-account.ts";

export type Volume = Omit<k8s.types.input.core.v1.Volume, "name">;
type Probe = k8s.types.input.core.v1.Probe;
type PodTemplate = k8s.types.input.core.v1.PodTemplateSpec;

/** A field of the pod that Kubernetes fills in, such as `status.podIP`. */
export interface PodField {
  field: string;
}

/** One key of one ConfigMap of the pod's namespace. */
export interface ConfigMapKey {
  configMap: string;
  key: string;
}

/** Ports by their names. Over TCP, unless it says otherwise. */
export type Ports = Record<string, number | { udp: number }>;

export interface Resources {
  requests: { cpu: string; memory: string };
  limits: { memory: string; cpu?: string };
}

/**
 * Resources of a container that works for a server, in a set-up Job or before the server starts. It has a CPU limit
 * where the server has one: a quota on CPU limits admits no container without.
 */
export function limitedAs(server: { limits: { cpu?: string | undefined } }, own: Resources): Resources {
  const { cpu } = server.limits;
  if (!cpu) return own;
  const request = millicores(own.requests.cpu) > millicores(cpu) ? cpu : own.requests.cpu;
  return { requests: { ...own.requests, cpu: request }, limits: { ...own.limits, cpu } };
}

/** One container. `V` are the names of its pod's volumes: a mount of one that is not there does not compile. */
export interface Container<V extends string> {
  /** The full image reference, as `Component.image` gives it. */
  image: pulumi.Input<string>;
  /** What runs. An image's own entrypoint is never relied upon. */
  command: string[];
  args?: string[];
  /** Plain values, references to the keys of Secrets, and what Kubernetes knows of the pod. No password as a plain value. */
  env?: Record<string, pulumi.Input<string> | SecretKey | ConfigMapKey | PodField>;
  /** Secrets and ConfigMaps whose keys become variables. `env` has precedence. */
  envFrom?: k8s.types.input.core.v1.EnvFromSource[];
  ports?: Ports;
  resources: Resources;
  /** Path in the container → volume. The root file system is read-only: what is written to is mounted. */
  mounts?: Record<string, V | { volume: V; readOnly?: boolean; subPath?: string }>;
  startup?: Probe;
  readiness?: Probe;
  liveness?: Probe;
  /** What comes before the container is told to stop, within the pod's grace period: a command, or `drain`. */
  preStop?: string[] | { sleep: number };
}

export interface Pod<V extends string> {
  /** The image's own user and group: no pod runs as root. */
  user: number;
  group?: number;
  /** The workload's role within the component: the label app.kubernetes.io/component. */
  role?: string;
  /** By name, in the order they start in. */
  init?: Record<string, Container<V>>;
  containers: Record<string, Container<V>>;
  volumes: Record<V, Volume>;
  /** Checksums of what the pod reads only at its start: a change of one rolls the pod. */
  checksums?: Record<string, pulumi.Input<string>>;
  /** Seconds from being told to stop to being killed. Default 30, as Kubernetes has it. */
  gracePeriod?: number;
  restartPolicy?: "Never" | "OnFailure";
  /**
   * Why the pod talks to the Kubernetes API. It then has the token of its component's account, and the reason stands on
   * it as an annotation; what the account may do, `permissions` says. Default: no token.
   */
  talksToApi?: string;
  /** The account that the pod runs under, as `serviceAccount` gives it. Default: the component's own. */
  account?: pulumi.Input<string>;
}

/**
 * A pod template that passes Pod Security `restricted` and has a read-only root file system, with no way to ask
 * for less: no token without a reason, no service links (a Service named like an application would set `<NAME>_PORT` for it),
 * no privilege, no capability.
 */
export function pod<V extends string>(
  component: Component,
  spec: Pod<V>,
): PodTemplate & { spec: NonNullable<PodTemplate["spec"]> } {
  const { imagePullPolicy, imagePullSecrets } = component.namespace.global;
  const list = (containers: Record<string, Container<V>> = {}) =>
    Object.entries(containers).map(([name, one]) => container(name, one, imagePullPolicy));
  return {
    metadata: {
      labels: component.labels(spec.role),
      annotations: {
        ...Object.fromEntries(
          Object.entries(spec.checksums ?? {}).map(([of, sum]) => [`data-platform/checksum-${of}`, sum]),
        ),
        ...(spec.talksToApi && { "data-platform/talks-to-api": spec.talksToApi }),
      },
    },
    spec: {
      serviceAccountName: spec.account ?? serviceAccount(component),
      automountServiceAccountToken: spec.talksToApi !== undefined,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: spec.user,
        runAsGroup: spec.group ?? spec.user,
        fsGroup: spec.group ?? spec.user,
        // Volumes with many files would otherwise be walked through at every start.
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "RuntimeDefault" },
      },
      ...(imagePullSecrets.length > 0 && { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) }),
      ...(spec.init && { initContainers: list(spec.init) }),
      containers: list(spec.containers),
      volumes: Object.entries<Volume>(spec.volumes).map(([name, volume]) => ({ name, ...volume })),
      terminationGracePeriodSeconds: spec.gracePeriod ?? 30,
      ...(spec.restartPolicy && { restartPolicy: spec.restartPolicy }),
      // A node for each pod, where there are several of both. One pod has it too: a second one then rolls nothing.
      ...(!spec.restartPolicy && {
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: "kubernetes.io/hostname",
            // A cluster with fewer nodes than pods should still run them all.
            whenUnsatisfiable: "ScheduleAnyway",
            labelSelector: { matchLabels: component.selector(spec.role) },
          },
        ],
      }),
    },
  };
}

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
    ...(spec.env && {
      env: Object.entries(spec.env).map(([variable, value]) =>
        isKey(value)
          ? { name: variable, valueFrom: { secretKeyRef: { name: value.secret, key: value.key } } }
          : isConfigMapKey(value)
            ? { name: variable, valueFrom: { configMapKeyRef: { name: value.configMap, key: value.key } } }
            : isField(value)
              ? { name: variable, valueFrom: { fieldRef: { fieldPath: value.field } } }
              : { name: variable, value },
      ),
    }),
    ...(spec.envFrom && spec.envFrom.length > 0 && { envFrom: spec.envFrom }),
    ...(spec.ports && {
      ports: Object.entries(spec.ports).map(([port, number]) =>
        typeof number === "number"
          ? { name: port, containerPort: number }
          : { name: port, containerPort: number.udp, protocol: "UDP" },
      ),
    }),
    resources: spec.resources,
    ...(spec.mounts && {
      volumeMounts: Object.entries(spec.mounts).map(([mountPath, mount]) =>
        typeof mount === "object" ? { name: mount.volume, mountPath, ...rest(mount) } : { name: mount, mountPath },
      ),
    }),
    ...(spec.startup && { startupProbe: spec.startup }),
    ...(spec.readiness && { readinessProbe: spec.readiness }),
    ...(spec.liveness && { livenessProbe: spec.liveness }),
    ...(spec.preStop && { lifecycle: { preStop: preStop(spec.preStop) } }),
    // What a user reads first when a container has died and its log is gone.
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

type Value = pulumi.Input<string> | SecretKey | ConfigMapKey | PodField;
const isKey = (value: Value): value is SecretKey => typeof value === "object" && "secret" in value && "key" in value;
const isConfigMapKey = (value: Value): value is ConfigMapKey =>
  typeof value === "object" && Object.keys(value).includes("configMap");
// An Output has any property that is asked for, but lists none of them.
const isField = (value: Value): value is PodField => typeof value === "object" && Object.keys(value).includes("field");

const rest = <V>({ readOnly, subPath }: { volume: V; readOnly?: boolean; subPath?: string }) => ({
  ...(readOnly && { readOnly }),
  ...(subPath && { subPath }),
});

/** An empty directory that lives as long as the pod. `size` bounds it; `memory` keeps it off the disk. */
export const scratch = (of: { size: string; memory?: boolean }): Volume => ({
  emptyDir: { sizeLimit: of.size, ...(of.memory && { medium: "Memory" }) },
});

export const configFiles = (configMap: pulumi.Input<string>): Volume => ({ configMap: { name: configMap } });

/** Keys of Secrets as files: file name → key. */
export const secretFiles = (files: Record<string, SecretKey>): Volume => ({
  projected: {
    sources: Object.entries(files).map(([path, { secret, key }]) => ({
      secret: { name: secret, items: [{ key, path }] },
    })),
  },
});

type Timing = { every?: number; within?: number; failures?: number };
const timing = ({ every = 10, within = 5, failures = 3 }: Timing) => ({
  periodSeconds: every,
  timeoutSeconds: within,
  failureThreshold: failures,
});

/**
 * For liveness: three minutes in a row. A restart helps a server that hangs; where the whole machine is busy it makes
 * that worse, for starting takes more than running does, and the next probes fail for it.
 */
export const lenientLiveness: Timing = { within: 10, failures: 18 };

/**
 * For `preStop` of servers of which another takes over: five seconds more of serving, since nodes send requests to a
 * pod until they have heard that it leaves. Kubernetes waits, 1.30 and newer, without a process in the container.
 */
export const drain = { sleep: 5 };

/** Succeeds when the command does. Seconds: `every` 10, `within` 5; fails after `failures`, 3, in a row. */
export const execProbe = (command: string[], when: Timing = {}): Probe => ({ exec: { command }, ...timing(when) });

/** Succeeds when the port takes a connection, for software that has no better question. Timing as in `runs`. */
export const tcpProbe = (port: string, when: Timing = {}): Probe => ({ tcpSocket: { port }, ...timing(when) });

/** Succeeds when GET answers 200 to 399. Timing as in `runs`. */
export const httpProbe = (path: string, port: string, when: Timing = {}): Probe => ({
  httpGet: { path, port },
  ...timing(when),
});
