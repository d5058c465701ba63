import { ApiError, type Kube } from "../kube/client.ts";
import type { KubernetesObject } from "../policy/rules/index.ts";
import { madeOf, references } from "../policy/rules/whole.ts";
import type { Evaluation } from "../render/evaluate.ts";
import { keyOf, manifests, titleOf } from "../render/manifests.ts";
import { ConfigError, type StackFile } from "../render/stack.ts";

/** A Secret or ConfigMap that pods use and the stack does not make. */
interface Need {
  kind: "Secret" | "ConfigMap";
  namespace: string;
  name: string;
  keys: Set<string>;
  /** The objects whose pods use it. */
  users: Set<string>;
}

/**
 * Refuses a stack whose cluster lacks what its configuration takes from there: namespaces that it does not make, Secrets
 * and ConfigMaps that it names. All at once, before anything changes: pods would otherwise wait for them without a word.
 */
export async function preflight(kube: Kube, file: StackFile, evaluation: Evaluation): Promise<void> {
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
    const problem = await missing(kube, need, absent.has(need.namespace));
    if (problem)
      problems.push(
        ...naming(file, need.name).map((key) =>
          absent.has(need.namespace)
            ? `${key}: ${problem}; make both before the first \`up\`, and set namespaces.${keyOfNamespace.get(need.namespace)}.create to false`
            : `${key}: ${problem}`,
        ),
      );
  }
  if (problems.length > 0) throw new ConfigError(problems.map((line) => `stack ${file.stack}: ${line}`).join("\n"));
}

/** What pods use and neither the program nor an operator makes, in order. */
export function needs(objects: KubernetesObject[]): Need[] {
  const there = new Set([...objects, ...objects.flatMap(madeOf)].map(keyOf));
  const found = new Map<string, Need>();
  for (const object of objects)
    for (const { kind, name, key } of references(object)) {
      if (kind !== "Secret" && kind !== "ConfigMap") continue;
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

/** What is wrong with a need, in a sentence; undefined where it is met. */
async function missing(kube: Kube, need: Need, withoutNamespace: boolean): Promise<string | undefined> {
  const { kind, namespace, name } = need;
  const keys = [...need.keys].sort();
  const [first = "", ...others] = [...need.users].sort();
  const users = `for ${first}${others.length > 0 ? ` and ${others.length} more` : ""}`;
  const what = keys.length > 0 ? `one with ${list(keys)}` : "one";
  if (withoutNamespace)
    return `found no ${kind} ${name}, and no namespace ${namespace}; expected ${what} there, ${users}`;
  const live = await there(kube, { apiVersion: "v1", kind, metadata: { namespace, name } });
  if (!live) return `found no ${kind} ${name} in namespace ${namespace}; expected ${what}, ${users}`;
  if (live === "not told") return undefined;
  const has = { ...live.data, ...live.binaryData };
  const lacking = keys.filter((key) => !(key in has));
  return lacking.length > 0
    ? `found ${kind} ${name} in namespace ${namespace} without ${list(lacking)}; expected ${list(keys)}, ${users}`
    : undefined;
}

const list = (keys: string[]) => `the key${keys.length > 1 ? "s" : ""} ${keys.join(", ")}`;

/** The object; undefined where there is none; "not told" to a login that may not read it. */
async function there(kube: Kube, ref: Parameters<Kube["get"]>[0]) {
  try {
    return (await kube.get(ref)) as { data?: object; binaryData?: object } | undefined;
  } catch (error) {
    if (error instanceof ApiError && error.code === 403) return "not told" as const;
    throw error;
  }
}

/** The keys of a stack file whose value is a name, with dots: `redis.auth.existingSecret`. */
function naming({ config, project }: StackFile, name: string): string[] {
  const found: string[] = [];
  const look = (value: unknown, path: string) => {
    if (value === name) found.push(path);
    else if (Array.isArray(value)) for (const [i, item] of value.entries()) look(item, `${path}[${i}]`);
    else if (value !== null && typeof value === "object")
      for (const [key, item] of Object.entries(value)) look(item, `${path}.${key}`);
  };
  for (const [key, value] of Object.entries(config)) look(value, key.replace(`${project}:`, ""));
  const secrets = found.filter((path) => /(Secrets?|configMap)(\[\d+\])?$/.test(path));
  return secrets.length > 0 ? secrets : [name];
}
