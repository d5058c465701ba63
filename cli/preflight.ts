import { secretFolder } from "../components/monitoring/receivers.ts";
import { ApiError, type Kube, type Live } from "../kube/client.ts";
import { type KubernetesObject, podOf } from "../policy/rules/index.ts";
import { madeOf, references } from "../policy/rules/whole.ts";
import type { Evaluation } from "../render/evaluate.ts";
import { type KubeObject, keyOf, manifests, titleOf } from "../render/manifests.ts";
import { ConfigError, type StackFile } from "../render/stack.ts";
import type { StackState } from "./backend.ts";

const kinds = ["Secret", "ConfigMap", "ServiceAccount"] as const;

/** A Secret, ConfigMap or ServiceAccount that pods use and the stack does not create. */
interface Need {
  kind: (typeof kinds)[number];
  namespace: string;
  name: string;
  keys: Set<string>;
  /** The objects whose pods use it. */
  users: Set<string>;
}

/**
 * Refuses a stack if the cluster lacks namespaces, Secrets, ConfigMaps, ServiceAccounts or kinds of operators that the configuration
 * expects to exist, and if the stack would take over objects of others. Reports all problems at once, before anything changes: pods would
 * otherwise wait without a message.
 *
 * @returns the existing namespaces that the stack adopts, since they belong to no other stack
 */
export async function preflight(
  kube: Kube,
  file: StackFile,
  evaluation: Evaluation,
  state: StackState,
): Promise<KubernetesObject[]> {
  const objects = manifests(evaluation).map(({ object }) => object as KubernetesObject);
  const keyOfNamespace = new Map(
    Object.entries(evaluation.outputs.namespaces as Record<string, string>).map(([key, name]) => [name, key]),
  );
  const made = new Set(objects.flatMap(({ kind, metadata }) => (kind === "Namespace" ? [metadata.name] : [])));
  const namespaces = new Set([
    ...keyOfNamespace.keys(),
    ...objects.flatMap(({ metadata }) => metadata.namespace ?? []),
  ]);

  const absent = new Set<string>();
  for (const name of namespaces)
    if (!(await there(kube, { apiVersion: "v1", kind: "Namespace", metadata: { name } }))) absent.add(name);

  const problems = [...absent]
    .filter((name) => !made.has(name))
    .map(
      (name) =>
        `namespaces.${keyOfNamespace.get(name)}.create: found false and no namespace ${name} in the cluster; expected one to exist: kubectl create namespace ${name}`,
    );
  for (const need of needs(objects)) {
    // Its namespace is a problem already.
    if (absent.has(need.namespace) && !made.has(need.namespace)) continue;
    const problem = deleted(state, need) ?? (await missing(kube, need, absent.has(need.namespace)));
    if (problem)
      problems.push(
        ...naming(file, need.name).map((key) =>
          absent.has(need.namespace)
            ? `${key}: ${problem}; make both before the first \`up\`, and set namespaces.${keyOfNamespace.get(need.namespace)}.create to false`
            : `${key}: ${problem}`,
        ),
      );
  }
  for (const one of classes(objects)) {
    if (await there(kube, one.object)) continue;
    problems.push(
      ...naming(file, one.object.metadata.name).map(
        (key) =>
          `${key}: found no ${titleOf(one.object)} in the cluster; expected it to exist, ${usersOf(one.users)}: the cluster refuses pods that name it`,
      ),
    );
  }
  problems.push(...(await missingKinds(kube, file, evaluation)));
  problems.push(...(await missingListeners(kube, objects)));
  const { adopted, foreign } = await existing(kube, file.stack, evaluation, state, absent);
  problems.push(...foreign);
  if (problems.length > 0) throw new ConfigError(problems.map((line) => `stack ${file.stack}: ${line}`).join("\n"));
  return adopted;
}

/**
 * Objects that the program would create and that exist in the cluster, but not in the stack's state: namespaces to
 * adopt, and objects of others. Objects in `absent` namespaces are not looked up.
 */
async function existing(
  kube: Kube,
  stack: string,
  evaluation: Evaluation,
  { resources, pending }: StackState,
  absent: Set<string>,
): Promise<{ adopted: KubernetesObject[]; foreign: string[] }> {
  const known = new Set(
    [...resources, ...pending.map(({ resource }) => resource)]
      .filter(({ type }) => type.startsWith("kubernetes:"))
      .flatMap(({ inputs }) => (inputs?.kind ? [keyOf(inputs as KubernetesObject)] : [])),
  );
  const fresh = manifests(evaluation).filter(
    ({ object: { kind, metadata }, key, patch }) =>
      !patch && !known.has(key) && !absent.has(metadata.namespace ?? (kind === "Namespace" ? metadata.name : "")),
  );
  const lives = await Promise.all(fresh.map(({ object }) => there(kube, object)));
  const adopted: KubernetesObject[] = [];
  const foreign: string[] = [];
  for (const [i, { object }] of fresh.entries()) {
    const live = lives[i];
    if (!live || live === "forbidden") continue;
    if (adoptable(stack, live)) adopted.push(object as KubernetesObject);
    else foreign.push(titleOf(object));
  }
  if (foreign.length === 0) return { adopted, foreign };
  const more = foreign.length > 5 ? `, and ${foreign.length - 5} more` : "";
  const which = foreign.slice(0, 5).join(", ") + more;
  return {
    adopted,
    foreign: [
      `${which}: found in the cluster, and this stack did not make it; expected to find nothing of that name: delete it, or configure another namespace`,
    ],
  };
}

/** Whether it is a namespace of no other stack, such as one that an administrator created. */
const adoptable = (stack: string, { kind, metadata }: Live): boolean =>
  kind === "Namespace" &&
  !metadata.deletionTimestamp &&
  !(
    metadata.labels?.["app.kubernetes.io/part-of"] === "data-platform" &&
    metadata.labels["app.kubernetes.io/instance"] !== stack
  );

/** Secrets, ConfigMaps and ServiceAccounts that pods use and neither the program nor an operator creates, sorted. */
export function needs(objects: KubernetesObject[]): Need[] {
  const there = new Set([...objects, ...objects.flatMap(madeOf)].map(keyOf));
  const found = new Map<string, Need>();
  for (const object of objects)
    for (const { kind: of, name, key } of references(object)) {
      const kind = kinds.find((one) => one === of);
      if (!kind) continue;
      const namespace = object.metadata.namespace ?? "";
      const id = keyOf({ apiVersion: "v1", kind, metadata: { name, namespace } });
      if (there.has(id)) continue;
      const need = found.get(id) ?? { kind, namespace, name, keys: new Set(), users: new Set() };
      if (key) need.keys.add(key);
      need.users.add(titleOf(object));
      found.set(id, need);
    }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, need]) => need);
}

/** Classes that pods name and the program does not create, with the objects whose pods do. Kubernetes has `system-` ones itself. */
function classes(objects: KubernetesObject[]): { object: KubeObject; users: Set<string> }[] {
  const made = new Set(objects.map(keyOf));
  const found = new Map<string, { object: KubeObject; users: Set<string> }>();
  for (const one of objects) {
    const { priorityClassName, runtimeClassName } = podOf(one)?.spec ?? {};
    for (const [apiVersion, kind, name] of [
      ["scheduling.k8s.io/v1", "PriorityClass", priorityClassName],
      ["node.k8s.io/v1", "RuntimeClass", runtimeClassName],
    ]) {
      if (!name || name.startsWith("system-")) continue;
      const object = { apiVersion, kind, metadata: { name } };
      if (made.has(keyOf(object))) continue;
      const { users } = found.get(keyOf(object)) ?? { users: new Set<string>() };
      found.set(keyOf(object), { object, users: users.add(titleOf(one)) });
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

/** The operators whose kinds a stack may use without installing them, and the keys that ask for that. */
const operators: Record<string, { software: string; keys: RegExp }> = {
  "keda.sh": { software: "KEDA", keys: /\.autoscale\.queue$/ },
  "monitoring.coreos.com": { software: "the Prometheus Operator", keys: /^monitoring\.monitors\.enabled$/ },
  "gateway.networking.k8s.io": { software: "Gateway API", keys: /^frontDoor\.routes$/ },
};

/** The problems with kinds that the cluster does not have. Those of CloudNativePG are in the chart that the stack installs. */
async function missingKinds(kube: Kube, file: StackFile, evaluation: Evaluation): Promise<string[]> {
  const operatorOf = (apiVersion: string) => operators[apiVersion.split("/")[0] ?? ""];
  const objects = manifests(evaluation).map(({ object }) => object);
  const wanted = usedBy(objects, ({ apiVersion, kind }) => (operatorOf(apiVersion) ? [[apiVersion, kind]] : []));
  const problems: string[] = [];
  for (const { names, users } of wanted) {
    const [apiVersion = "", kind = ""] = names;
    const operator = operatorOf(apiVersion);
    if (!operator || (await kube.has(apiVersion, kind))) continue;
    const keys = keysOf(file).filter((key) => operator.keys.test(key));
    problems.push(
      ...(keys.length > 0 ? keys : [kind]).map(
        (key) =>
          `${key}: found no kind ${kind} of ${apiVersion} in the cluster; expected ${operator.software} to be installed, ${usersOf(users)}`,
      ),
    );
  }
  return problems;
}

/** The problem with a ServiceAccount of the stack's own: the stack no longer has it, so an update would delete it. */
function deleted({ resources }: StackState, { kind, namespace, name }: Need): string | undefined {
  const key = keyOf({ apiVersion: "v1", kind, metadata: { namespace, name } });
  return kind === "ServiceAccount" &&
    resources.some(({ inputs }) => inputs?.kind === kind && keyOf(inputs as KubeObject) === key)
    ? `found ServiceAccount ${name} in namespace ${namespace}, which this stack made and would now delete; expected one of another name`
    : undefined;
}

/** A Gateway's listener that a route names. */
interface Parent {
  namespace: string;
  name: string;
  sectionName: string;
}

/** The problems with listeners of Gateways that routes name: a page would wait for them without a message. */
async function missingListeners(kube: Kube, objects: KubernetesObject[]): Promise<string[]> {
  const named = usedBy(objects, ({ kind, spec }) =>
    kind === "HTTPRoute"
      ? (spec.parentRefs as Parent[]).map(({ namespace, name, sectionName }) => [namespace, name, sectionName])
      : [],
  );
  const problems: string[] = [];
  for (const { names, users } of named) {
    const [namespace = "", name = "", listener = ""] = names;
    const gateway = { apiVersion: "gateway.networking.k8s.io/v1", kind: "Gateway", metadata: { namespace, name } };
    const live = await there(kube, gateway);
    const listeners: { name: string }[] = live === "forbidden" ? [{ name: listener }] : (live?.spec.listeners ?? []);
    if (listeners.some(({ name }) => name === listener)) continue;
    const found = live ? `Gateway ${name} without it` : `no Gateway ${name}`;
    problems.push(
      `frontDoor.gateway: found ${found} in namespace ${namespace}; expected one with the listener ${listener}, ${usersOf(users)}`,
    );
  }
  return problems;
}

/** The problem with a need, in a sentence; undefined if it is met. */
async function missing(kube: Kube, need: Need, withoutNamespace: boolean): Promise<string | undefined> {
  const { kind, namespace, name } = need;
  const keys = [...need.keys].sort();
  const users = usersOf(need.users);
  const what = keys.length > 0 ? `one with ${list(keys)}` : "one";
  if (withoutNamespace)
    return `found no ${kind} ${name}, and no namespace ${namespace}; expected ${what} there, ${users}`;
  const live = await there(kube, { apiVersion: "v1", kind, metadata: { namespace, name } });
  if (!live) return `found no ${kind} ${name} in namespace ${namespace}; expected ${what}, ${users}`;
  if (live === "forbidden") return undefined;
  const { data, binaryData } = live as { data?: object; binaryData?: object };
  const has = { ...data, ...binaryData };
  const lacking = keys.filter((key) => !(key in has));
  return lacking.length > 0
    ? `found ${kind} ${name} in namespace ${namespace} without ${list(lacking)}; expected ${list(keys)}, ${users}`
    : undefined;
}

/** What objects name, each once and in order, with the objects that name it. */
function usedBy<O extends KubeObject>(
  objects: O[],
  namesIn: (object: O) => string[][],
): { names: string[]; users: Set<string> }[] {
  const found = new Map<string, { names: string[]; users: Set<string> }>();
  for (const object of objects)
    for (const names of namesIn(object)) {
      const one = found.get(names.join(" ")) ?? { names, users: new Set() };
      one.users.add(titleOf(object));
      found.set(names.join(" "), one);
    }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

/** The first of the objects, and how many more there are. */
function usersOf(users: Set<string>): string {
  const [first = "", ...others] = [...users].sort();
  return `for ${first}${others.length > 0 ? ` and ${others.length} more` : ""}`;
}

const list = (keys: string[]) => `the key${keys.length > 1 ? "s" : ""} ${keys.join(", ")}`;

/** The object; undefined if it does not exist; "forbidden" if the login may not read it. */
async function there(kube: Kube, ref: Parameters<Kube["get"]>[0]): Promise<Live | "forbidden" | undefined> {
  try {
    return await kube.get(ref);
  } catch (error) {
    if (error instanceof ApiError && error.code === 403) return "forbidden" as const;
    throw error;
  }
}

/** Every value of a stack file by its dotted key, such as `redis.auth.existingSecret`. */
function values({ config, project }: StackFile): [key: string, value: unknown][] {
  const inside = (value: unknown, path: string): [string, unknown][] => {
    if (Array.isArray(value)) return value.flatMap((item, i) => inside(item, `${path}[${i}]`));
    if (value !== null && typeof value === "object")
      return Object.entries(value).flatMap(([key, item]) => inside(item, `${path}.${key}`));
    return [[path, value]];
  };
  return Object.entries(config).flatMap(([key, value]) => inside(value, key.replace(`${project}:`, "")));
}

const keysOf = (file: StackFile): string[] => values(file).map(([key]) => key);

/** The keys of a stack file with this value, or with a file of the Secret. */
function naming(file: StackFile, name: string): string[] {
  const isNamed = (value: unknown) =>
    value === name || (typeof value === "string" && value.startsWith(`${secretFolder}/${name}/`));
  const found = values(file).flatMap(([key, value]) => (isNamed(value) ? [key] : []));
  const secrets = found.filter((path) =>
    /((Secrets?|[cC]onfigMap)(\[\d+\])?|(secret|configMap)(Key)?Ref\.name|(priority|runtime)ClassName|serviceAccount(\.roles\.\w+)?\.name|_file|(templates|files)\[\d+\])$/.test(
      path,
    ),
  );
  return secrets.length > 0 ? secrets : [name];
}
