import { bytes, millicores } from "../../config/quantity.ts";
import { containersIn, containersOf, type KubernetesObject, podOf } from "./object.ts";

/*
 * Rules on all objects of a stack together.
 */

const titleOf = (object: KubernetesObject) =>
  `${object.kind} ${object.metadata.namespace ? `${object.metadata.namespace}/` : ""}${object.metadata.name}`;

/** Objects with the same kind, namespace and name: the second would overwrite the first. */
export function duplicateNames(objects: KubernetesObject[]): string[] {
  const seen = new Set<string>();
  return objects.map(titleOf).filter((name) => seen.has(name) || !seen.add(name));
}

/** Whether a selector selects the pods of an object. */
const selects = (selector: Record<string, string>, object: KubernetesObject): boolean => {
  const pod = podOf(object);
  return pod !== undefined && Object.entries(selector).every(([key, value]) => pod.labels[key] === value);
};

/**
 * Selectors that select no pods or too many. A workload must select its own pods; a Service or PodDisruptionBudget those
 * of exactly one workload.
 */
export function selectorProblems(objects: KubernetesObject[]): string[] {
  const workloads = objects.filter((object) => podOf(object));
  return objects.flatMap((object) => {
    const { kind, spec, metadata } = object;
    if (["Deployment", "StatefulSet", "DaemonSet"].includes(kind))
      return selects(spec.selector.matchLabels, object) ? [] : [`${titleOf(object)} does not select its own pods`];
    const selector =
      kind === "Service" ? spec.selector : kind === "PodDisruptionBudget" ? spec.selector.matchLabels : undefined;
    if (!selector) return [];
    const found = workloads.filter(
      (workload) => workload.metadata.namespace === metadata.namespace && selects(selector, workload),
    );
    return found.length === 1
      ? []
      : [`${titleOf(object)} selects ${found.length} workloads: ${found.map(titleOf).join(", ")}`];
  });
}

/** Named target ports of Services that no container of the selected pods has. */
export function portProblems(objects: KubernetesObject[]): string[] {
  return objects
    .filter(({ kind, spec }) => kind === "Service" && spec.selector)
    .flatMap((service) => {
      const target = objects.find(
        (object) => object.metadata.namespace === service.metadata.namespace && selects(service.spec.selector, object),
      );
      const ports = (target ? containersIn(target) : []).flatMap((one) =>
        (one.ports ?? []).map((port: { name: string }) => port.name),
      );
      return service.spec.ports
        .filter(({ targetPort }: { targetPort: string }) => !ports.includes(targetPort))
        .map(({ targetPort }: { targetPort: string }) => `${titleOf(service)}: no container has a port ${targetPort}`);
    });
}

/**
 * Containers without preStop in Deployments behind a Service that have another pod to take over: kube-proxy sends
 * requests to a terminating pod until its rules are updated. Not StatefulSets: their clients may know pods by name, as
 * Kafka's do.
 */
export function leavingProblems(objects: KubernetesObject[]): string[] {
  return objects
    .filter(({ kind, spec }) => kind === "Service" && spec.selector && spec.clusterIP !== "None")
    .flatMap((service) => {
      const ports = service.spec.ports.map(({ targetPort }: { targetPort: string }) => targetPort);
      return objects
        .filter(({ kind, metadata }) => kind === "Deployment" && metadata.namespace === service.metadata.namespace)
        .filter(
          (workload) =>
            workload.spec.replicas > 1 ||
            mostPods(objects, workload) !== undefined ||
            workload.spec.strategy?.rollingUpdate?.maxSurge > 0,
        )
        .filter((workload) => selects(service.spec.selector, workload))
        .flatMap((workload) =>
          containersIn(workload)
            .filter(({ ports: own = [] }) => own.some(({ name }: { name: string }) => ports.includes(name)))
            .filter(({ lifecycle }) => !lifecycle?.preStop)
            .map(
              ({ name }) =>
                `${titleOf(workload)}: ${name} has no preStop hook, so it stops while it still gets requests`,
            ),
        );
    });
}

/** Objects that an operator creates and pods refer to: CloudNativePG's Secret of the database's owner. */
export function madeOf({ kind, metadata }: KubernetesObject): KubernetesObject[] {
  if (kind !== "Cluster") return [];
  const data = Object.fromEntries(["host", "port", "dbname", "username", "password"].map((key) => [key, ""]));
  return [{ apiVersion: "v1", kind: "Secret", metadata: { ...metadata, name: `${metadata.name}-app` }, data }];
}

export interface Reference {
  kind: "ServiceAccount" | "Secret" | "ConfigMap" | "PersistentVolumeClaim";
  name: string;
  key?: string;
}

/** The objects that an object's pods refer to, in their own namespace. */
export function references(object: KubernetesObject): Reference[] {
  const pod = podOf(object);
  if (!pod) return [];
  const found: Reference[] = [{ kind: "ServiceAccount", name: pod.spec.serviceAccountName }];
  for (const { name } of pod.spec.imagePullSecrets ?? []) found.push({ kind: "Secret", name });
  for (const { env = [], envFrom = [] } of containersOf(pod.spec)) {
    for (const { secretRef, configMapRef } of envFrom) {
      if (secretRef) found.push({ kind: "Secret", name: secretRef.name });
      if (configMapRef) found.push({ kind: "ConfigMap", name: configMapRef.name });
    }
    for (const { valueFrom } of env) {
      if (valueFrom?.secretKeyRef) found.push({ kind: "Secret", ...valueFrom.secretKeyRef });
      if (valueFrom?.configMapKeyRef) found.push({ kind: "ConfigMap", ...valueFrom.configMapKeyRef });
    }
  }
  for (const { configMap, secret, persistentVolumeClaim, projected } of pod.spec.volumes ?? []) {
    if (configMap) found.push({ kind: "ConfigMap", name: configMap.name });
    if (secret) found.push({ kind: "Secret", name: secret.secretName });
    if (persistentVolumeClaim) found.push({ kind: "PersistentVolumeClaim", name: persistentVolumeClaim.claimName });
    for (const source of projected?.sources ?? [])
      for (const { key } of source.secret?.items ?? []) found.push({ kind: "Secret", name: source.secret.name, key });
  }
  // A StatefulSet looks for claims by these names, and would create small ones.
  for (const template of object.spec.volumeClaimTemplates ?? [])
    for (let i = 0; i < object.spec.replicas; i++)
      found.push({ kind: "PersistentVolumeClaim", name: `${template.metadata.name}-${object.metadata.name}-${i}` });
  return found;
}

/** References of pods to Secrets, ConfigMaps, accounts and claims that do not exist or lack the key. */
export function referenceProblems(objects: KubernetesObject[]): string[] {
  const there = [...objects, ...objects.flatMap(madeOf)];
  const find = (kind: string, namespace: string | undefined, name: string) =>
    there.find((one) => one.kind === kind && one.metadata.namespace === namespace && one.metadata.name === name);
  return objects.flatMap((object) => {
    const pod = podOf(object);
    if (!pod) return [];
    const { namespace } = object.metadata;
    const problems: string[] = [];
    for (const { kind, name, key } of references(object)) {
      const target = find(kind, namespace, name);
      const keys = { ...target?.data, ...target?.stringData };
      if (!target) problems.push(`${titleOf(object)} needs ${kind} ${name}, which does not exist`);
      else if (key && !(key in keys)) problems.push(`${titleOf(object)} needs the key ${key} of ${kind} ${name}`);
    }
    const volumes = pod.spec.volumes ?? [];
    const names = [
      ...volumes,
      ...(object.spec.volumeClaimTemplates ?? []).map((t: KubernetesObject) => t.metadata),
    ].map(({ name }: { name: string }) => name);
    for (const { name, volumeMounts = [] } of containersOf(pod.spec))
      for (const mount of volumeMounts)
        if (!names.includes(mount.name))
          problems.push(`${titleOf(object)}: ${name} mounts ${mount.name}, which is no volume`);
    return problems;
  });
}

/** Tokens without a Role, Roles without a pod, rights beyond a namespace, and wildcards. */
export function permissionProblems(objects: KubernetesObject[]): string[] {
  const pods = objects.flatMap((object) => {
    const pod = podOf(object);
    return pod ? [{ object, spec: pod.spec, namespace: object.metadata.namespace }] : [];
  });
  return objects.flatMap((object) => {
    const { kind, metadata } = object;
    if (kind === "ClusterRole" || kind === "ClusterRoleBinding")
      return [`${titleOf(object)} grants rights beyond a namespace`];
    if (kind === "Role")
      return JSON.stringify(object.rules).includes('"*"') ? [`${titleOf(object)} has a wildcard`] : [];
    if (kind === "RoleBinding") {
      const role = objects.some(
        (one) => one.kind === "Role" && titleOf(one) === `Role ${metadata.namespace}/${object.roleRef.name}`,
      );
      const unused = object.subjects.filter(
        (subject: { name: string; namespace: string }) =>
          !pods.some(
            ({ spec, namespace }) =>
              namespace === subject.namespace &&
              spec.serviceAccountName === subject.name &&
              spec.automountServiceAccountToken !== false,
          ),
      );
      return [
        ...(role ? [] : [`${titleOf(object)} binds a Role that does not exist`]),
        ...unused.map(({ name }: { name: string }) => `${titleOf(object)}: no pod has a token of ${name}`),
      ];
    }
    const spec = podOf(object)?.spec;
    if (!spec || spec.automountServiceAccountToken === false) return [];
    const bound = objects.some(
      (one) =>
        one.kind === "RoleBinding" &&
        one.subjects.some(
          (subject: { name: string; namespace: string }) =>
            subject.name === spec.serviceAccountName && subject.namespace === metadata.namespace,
        ),
    );
    return bound ? [] : [`${titleOf(object)} has a token that opens nothing`];
  });
}

const writing = ["create", "update", "patch", "delete", "deletecollection"];
const runningPods = ["pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"];

/**
 * Accounts that may change ConfigMaps or Secrets of other components, and accounts that may run pods in a namespace with
 * the platform's Secrets: a pod can use every Secret and every account of its namespace.
 */
export function writeProblems(objects: KubernetesObject[]): string[] {
  const owner = ({ metadata }: KubernetesObject) => metadata.labels?.["app.kubernetes.io/name"];
  return objects
    .filter(({ kind }) => kind === "Role")
    .flatMap((role) => {
      const beside = objects.filter(({ metadata }) => metadata.namespace === role.metadata.namespace);
      const rules: { resources: string[]; verbs: string[]; resourceNames?: string[] }[] = role.rules;
      return rules
        .filter(({ verbs }) => verbs.some((verb) => writing.includes(verb)))
        .flatMap(({ resources, verbs, resourceNames }) => {
          // `resourceNames` does not restrict `create`.
          const named = (name: string) => !resourceNames || verbs.includes("create") || resourceNames.includes(name);
          const others = beside
            .filter((one) => resources.includes(`${one.kind.toLowerCase()}s`) && owner(one) !== owner(role))
            .filter(({ kind, metadata }) => ["ConfigMap", "Secret"].includes(kind) && named(metadata.name))
            .map((one) => `${titleOf(role)} allows changes of ${titleOf(one)}, which is another component's`);
          const secrets = resources.some((one) => runningPods.includes(one))
            ? beside.filter(({ kind }) => kind === "Secret")
            : [];
          return [...others, ...secrets.map((one) => `${titleOf(role)} allows pods that read ${titleOf(one)}`)];
        });
    });
}

export interface Totals {
  /** Millicores. */
  cpu: number;
  /** Bytes. */
  memory: number;
  /** Bytes. */
  storage: number;
}

/** The most pods that a workload's autoscaler allows; undefined if it has none. */
function mostPods(objects: KubernetesObject[], { kind, metadata }: KubernetesObject): number | undefined {
  const of = objects.find(({ kind: autoscaler, metadata: { namespace }, spec }) => {
    if (autoscaler !== "HorizontalPodAutoscaler" && autoscaler !== "ScaledObject") return false;
    const { kind: target = "Deployment", name } = spec.scaleTargetRef;
    return namespace === metadata.namespace && target === kind && name === metadata.name;
  });
  return of?.spec.maxReplicas ?? of?.spec.maxReplicaCount;
}

/**
 * Requests of all objects together: those of servers times their replicas, and the largest of the Jobs, which run one
 * after another. A pod requests the larger of the sum of its containers and its largest init container, as the
 * scheduler counts.
 */
export function totals(objects: KubernetesObject[]): Totals {
  const clusters = objects.filter(({ kind }) => kind === "Cluster").map(({ spec }) => spec);
  const pods = objects.flatMap((object) => {
    const pod = podOf(object);
    if (!pod) return [];
    const request = (key: "cpu" | "memory", of: (quantity: string) => number) => {
      const each = (list: typeof pod.spec.containers) =>
        list.map((one: typeof pod.spec) => of(one.resources.requests[key]));
      const together = each(pod.spec.containers).reduce((a: number, b: number) => a + b, 0);
      return Math.max(together, ...each(pod.spec.initContainers ?? []));
    };
    const isJob = object.kind === "Job" || object.kind === "CronJob";
    return [
      {
        isJob,
        // An autoscaler may start as many.
        replicas: mostPods(objects, object) ?? object.spec.replicas ?? 1,
        cpu: request("cpu", millicores),
        memory: request("memory", bytes),
      },
    ];
  });
  const sum = (key: "cpu" | "memory") => {
    const servers = pods.filter(({ isJob }) => !isJob).reduce((total, pod) => total + pod.replicas * pod[key], 0);
    const of = { cpu: millicores, memory: bytes }[key];
    const databases = clusters.reduce((total, spec) => total + spec.instances * of(spec.resources.requests[key]), 0);
    return servers + databases + Math.max(0, ...pods.filter(({ isJob }) => isJob).map((pod) => pod[key]));
  };
  const claimed = objects
    .filter(({ kind }) => kind === "PersistentVolumeClaim")
    .reduce((total, { spec }) => total + bytes(spec.resources.requests.storage), 0);
  const ofDatabases = clusters.reduce((total, spec) => total + spec.instances * bytes(spec.storage.size), 0);
  return { cpu: sum("cpu"), memory: sum("memory"), storage: claimed + ofDatabases };
}

/**
 * Bytes that the templates of StatefulSets request. No volume is created from them, because the claims exist; a sum over
 * the manifests includes them all the same.
 */
export const templatesStorage = (objects: KubernetesObject[]): number =>
  objects
    .filter(({ kind }) => kind === "StatefulSet")
    .flatMap(({ spec }) =>
      (spec.volumeClaimTemplates ?? []).map(
        (template: KubernetesObject): number => spec.replicas * bytes(template.spec.resources.requests.storage),
      ),
    )
    .reduce((total: number, size: number) => total + size, 0);
