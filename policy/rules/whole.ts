import { bytes, millicores } from "../../config/quantity.ts";
import { containersOf, type KubernetesObject, podOf } from "./object.ts";

/*
 * Rules on all objects of a stack together: what a look at one object cannot see.
 */

const place = (object: KubernetesObject) =>
  `${object.kind} ${object.metadata.namespace ? `${object.metadata.namespace}/` : ""}${object.metadata.name}`;

/** Two objects of one kind, namespace and name: the second would overwrite the first. */
export function duplicateNames(objects: KubernetesObject[]): string[] {
  const seen = new Set<string>();
  return objects.map(place).filter((name) => seen.has(name) || !seen.add(name));
}

const matches = (selector: Record<string, string>, labels: Record<string, string>) =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

/**
 * Selectors that find nothing, or too much: of workloads their own pods, of Services and disruption budgets the pods
 * of exactly one workload.
 */
export function selectorProblems(objects: KubernetesObject[]): string[] {
  const workloads = objects.filter((object) => podOf(object));
  return objects.flatMap((object) => {
    const { kind, spec, metadata } = object;
    if (["Deployment", "StatefulSet", "DaemonSet"].includes(kind))
      return matches(spec.selector.matchLabels, podOf(object)!.labels)
        ? []
        : [`${place(object)} does not select its own pods`];
    const selector =
      kind === "Service" ? spec.selector : kind === "PodDisruptionBudget" ? spec.selector.matchLabels : undefined;
    if (!selector) return [];
    const found = workloads.filter(
      (workload) => workload.metadata.namespace === metadata.namespace && matches(selector, podOf(workload)!.labels),
    );
    return found.length === 1
      ? []
      : [`${place(object)} selects ${found.length} workloads: ${found.map(place).join(", ")}`];
  });
}

/** Ports by name that no container of the selected pods has. */
export function portProblems(objects: KubernetesObject[]): string[] {
  return objects
    .filter(({ kind, spec }) => kind === "Service" && spec.selector)
    .flatMap((service) => {
      const target = objects.find(
        (object) =>
          object.metadata.namespace === service.metadata.namespace &&
          podOf(object) &&
          matches(service.spec.selector, podOf(object)!.labels),
      );
      const ports = target
        ? containersOf(podOf(target)!.spec).flatMap((one) =>
            (one.ports ?? []).map((port: { name: string }) => port.name),
          )
        : [];
      return service.spec.ports
        .filter(({ targetPort }: { targetPort: string }) => !ports.includes(targetPort))
        .map(({ targetPort }: { targetPort: string }) => `${place(service)}: no container has a port ${targetPort}`);
    });
}

/**
 * Deployments of several servers behind a Service that stop at once when they are told to: nodes send requests to a pod
 * until they have heard that it leaves. (Clients of a StatefulSet may know its pods by name, as Kafka's do.)
 */
export function leavingProblems(objects: KubernetesObject[]): string[] {
  return objects
    .filter(({ kind, spec }) => kind === "Service" && spec.selector && spec.clusterIP !== "None")
    .flatMap((service) => {
      const ports = service.spec.ports.map(({ targetPort }: { targetPort: string }) => targetPort);
      return objects
        .filter(({ kind, metadata }) => kind === "Deployment" && metadata.namespace === service.metadata.namespace)
        .filter(({ spec }) => spec.replicas > 1 || spec.strategy?.rollingUpdate?.maxSurge > 0)
        .filter((workload) => matches(service.spec.selector, podOf(workload)!.labels))
        .flatMap((workload) =>
          containersOf(podOf(workload)!.spec)
            .filter(({ ports: own = [] }) => own.some(({ name }: { name: string }) => ports.includes(name)))
            .filter(({ lifecycle }) => !lifecycle?.preStop)
            .map(({ name }) => `${place(workload)}: ${name} stops before clients have heard of it`),
        );
    });
}

/** What an operator makes of an object, as far as pods refer to it: CloudNativePG, the Secret of a database's owner. */
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

/** What an object's pods need in their own namespace. */
export function references(object: KubernetesObject): Reference[] {
  const pod = podOf(object);
  if (!pod) return [];
  const found: Reference[] = [{ kind: "ServiceAccount", name: pod.spec.serviceAccountName }];
  for (const { name } of pod.spec.imagePullSecrets ?? []) found.push({ kind: "Secret", name });
  for (const { env = [] } of containersOf(pod.spec))
    for (const { valueFrom } of env) {
      if (valueFrom?.secretKeyRef) found.push({ kind: "Secret", ...valueFrom.secretKeyRef });
      if (valueFrom?.configMapKeyRef) found.push({ kind: "ConfigMap", ...valueFrom.configMapKeyRef });
    }
  for (const { configMap, secret, persistentVolumeClaim, projected } of pod.spec.volumes ?? []) {
    if (configMap) found.push({ kind: "ConfigMap", name: configMap.name });
    if (secret) found.push({ kind: "Secret", name: secret.secretName });
    if (persistentVolumeClaim) found.push({ kind: "PersistentVolumeClaim", name: persistentVolumeClaim.claimName });
    for (const source of projected?.sources ?? [])
      for (const { key } of source.secret?.items ?? []) found.push({ kind: "Secret", name: source.secret.name, key });
  }
  // A StatefulSet's pods find their volumes by these names, and would make small ones of their own.
  for (const template of object.spec.volumeClaimTemplates ?? [])
    for (let i = 0; i < object.spec.replicas; i++)
      found.push({ kind: "PersistentVolumeClaim", name: `${template.metadata.name}-${object.metadata.name}-${i}` });
  return found;
}

/** References of pods to Secrets, ConfigMaps, accounts and volumes that are not there, or lack the key. */
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
      if (!target) problems.push(`${place(object)} needs ${kind} ${name}, which is not there`);
      else if (key && !(key in keys)) problems.push(`${place(object)} needs the key ${key} of ${kind} ${name}`);
    }
    const volumes = pod.spec.volumes ?? [];
    const names = [
      ...volumes,
      ...(object.spec.volumeClaimTemplates ?? []).map((t: KubernetesObject) => t.metadata),
    ].map(({ name }: { name: string }) => name);
    for (const { name, volumeMounts = [] } of containersOf(pod.spec))
      for (const mount of volumeMounts)
        if (!names.includes(mount.name))
          problems.push(`${place(object)}: ${name} mounts ${mount.name}, which is no volume`);
    return problems;
  });
}

/** Tokens that open nothing, and permissions that go to nobody, beyond a namespace, or to more than they name. */
export function permissionProblems(objects: KubernetesObject[]): string[] {
  const pods = objects.flatMap((object) => {
    const pod = podOf(object);
    return pod ? [{ object, spec: pod.spec, namespace: object.metadata.namespace }] : [];
  });
  return objects.flatMap((object) => {
    const { kind, metadata } = object;
    if (kind === "ClusterRole" || kind === "ClusterRoleBinding") return [`${place(object)} reaches beyond a namespace`];
    if (kind === "Role")
      return JSON.stringify(object.rules).includes('"*"') ? [`${place(object)} allows more than it names`] : [];
    if (kind === "RoleBinding") {
      const role = objects.some(
        (one) => one.kind === "Role" && place(one) === `Role ${metadata.namespace}/${object.roleRef.name}`,
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
        ...(role ? [] : [`${place(object)} binds a Role that is not there`]),
        ...unused.map(({ name }: { name: string }) => `${place(object)}: no pod has a token of ${name}`),
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
    return bound ? [] : [`${place(object)} has a token that opens nothing`];
  });
}

const writing = ["create", "update", "patch", "delete", "deletecollection"];
const runningPods = ["pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"];

/**
 * Accounts that may change ConfigMaps or Secrets of other components; and those that may run pods where the platform
 * keeps Secrets, since a pod may use every Secret and every account of its namespace.
 */
export function writeProblems(objects: KubernetesObject[]): string[] {
  const owner = ({ metadata }: KubernetesObject) => metadata.labels?.["app.kubernetes.io/name"];
  return objects
    .filter(({ kind }) => kind === "Role")
    .flatMap((role) => {
      const beside = objects.filter(({ metadata }) => metadata.namespace === role.metadata.namespace);
      const rules = role.rules as { resources: string[]; verbs: string[]; resourceNames?: string[] }[];
      return rules
        .filter(({ verbs }) => verbs.some((verb) => writing.includes(verb)))
        .flatMap(({ resources, verbs, resourceNames }) => {
          // The name of what is created is not known to a Role.
          const named = (name: string) => !resourceNames || verbs.includes("create") || resourceNames.includes(name);
          const others = beside
            .filter((one) => resources.includes(`${one.kind.toLowerCase()}s`) && owner(one) !== owner(role))
            .filter(({ kind, metadata }) => ["ConfigMap", "Secret"].includes(kind) && named(metadata.name))
            .map((one) => `${place(role)} allows changes of ${place(one)}, which is another component's`);
          const secrets = resources.some((one) => runningPods.includes(one))
            ? beside.filter(({ kind }) => kind === "Secret")
            : [];
          return [...others, ...secrets.map((one) => `${place(role)} allows pods that read ${place(one)}`)];
        });
    });
}

export interface Totals {
  /** Thousandths of a CPU. */
  cpu: number;
  /** Bytes. */
  memory: number;
  /** Bytes. */
  storage: number;
}

/**
 * What the objects request together once they run, applications included: pods of servers times their number, and the largest of what only
 * runs in passing (Jobs), since those come one after another. A pod asks for the larger of its containers together
 * and its largest init container, as the scheduler counts it.
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
    const passing = object.kind === "Job" || object.kind === "CronJob";
    return [
      {
        passing,
        replicas: object.spec.replicas ?? 1,
        cpu: request("cpu", millicores),
        memory: request("memory", bytes),
      },
    ];
  });
  const sum = (key: "cpu" | "memory") => {
    const servers = pods.filter(({ passing }) => !passing).reduce((total, pod) => total + pod.replicas * pod[key], 0);
    const of = { cpu: millicores, memory: bytes }[key];
    const databases = clusters.reduce((total, spec) => total + spec.instances * of(spec.resources.requests[key]), 0);
    return servers + databases + Math.max(0, ...pods.filter(({ passing }) => passing).map((pod) => pod[key]));
  };
  const claimed = objects
    .filter(({ kind }) => kind === "PersistentVolumeClaim")
    .reduce((total, { spec }) => total + bytes(spec.resources.requests.storage), 0);
  const ofDatabases = clusters.reduce((total, spec) => total + spec.instances * bytes(spec.storage.size), 0);
  return { cpu: sum("cpu"), memory: sum("memory"), storage: claimed + ofDatabases };
}

/**
 * Bytes that StatefulSets' templates ask for: placeholders, of which no volume is made, since the claims exist. Whoever adds
 * up the manifests counts them all the same.
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
