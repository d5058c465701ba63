import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { byName, derived, listOf, mapFields, missing, when } from "../../config/derived.ts";
import type { WorkloadSettings } from "../../config/pods.ts";
import type { SecretKey } from "./secret.ts";

/** A field of the pod as an environment variable, such as `status.podIP` (downward API). */
export interface PodField {
  field: string;
}

/** One key of one ConfigMap of the pod's namespace. */
export interface ConfigMapKey {
  configMap: string;
  key: string;
}

/** A value of the stack's configuration, as Kubernetes takes it: a text, or where it is from. */
interface Given {
  given: string | k8s.types.input.core.v1.EnvVarSource;
}

/** The value of an environment variable: a text, or where Kubernetes takes it from. */
export type Value = pulumi.Input<string> | SecretKey | ConfigMapKey | PodField | Given;

/** The variables that a component gives its container. */
export interface OwnVariables {
  /** Plain values, keys of Secrets and ConfigMaps, and fields of the pod. A password is never a plain value. */
  env?: Record<string, Value>;
  /** Secrets and ConfigMaps whose keys become variables. `env` has precedence. */
  envFrom?: k8s.types.input.core.v1.EnvFromSource[];
}

/** The variables that the stack gives every container of a component. */
export type Variables = Pick<WorkloadSettings, "env" | "envFrom">;

/** The variables of a container. The stack's come last, in the order of their names, so that they can refer to its own. */
export function variables({ env: own, envFrom: ownSources }: OwnVariables, { env = {}, envFrom = [] }: Variables) {
  const given = mapFields(Object.fromEntries(byName(env)), ([name, value]): [string, Value] => [
    name,
    { given: value },
  ]);
  const some = Object.keys(env).length > 0 && env;
  const sources = ownSources && envFrom.length > 0 ? [...ownSources, ...envFrom] : (ownSources ?? envFrom);
  return {
    ...(own ? { env: listOf({ ...own, ...given }, variable) } : when(some, () => ({ env: listOf(given, variable) }))),
    ...when(sources, (all) => ({ envFrom: all })),
  };
}

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
