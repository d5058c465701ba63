import { cannotFollow, declaredAnnotation } from "../components/kafka/manifests.ts";
import { shrinks } from "../components/kit/storage.ts";
import { fixedReplicas, resizes, valueAt } from "../config/immutable-fields.ts";
import type { KubernetesObject } from "../policy/rules/index.ts";
import { replacedBy } from "../render/diff/replaces.ts";
import type { Evaluation } from "../render/evaluate.ts";
import { type KubeObject, keyOf, manifests, titleOf } from "../render/manifests.ts";
import { ConfigError, type StackFile } from "../render/stack.ts";
import type { StackState } from "./backend.ts";

/** The Kubernetes objects of a stack that are protected from deletion, as the last `up` left them. */
const protectedIn = ({ resources }: StackState): KubeObject[] =>
  resources
    .filter(({ type, protect, delete: leaving }) => protect && !leaving && type.startsWith("kubernetes:"))
    .map(({ inputs }) => inputs as KubeObject);

/**
 * Refuses changes that would delete protected data: an object that the stack no longer has, or that would be replaced.
 * Reports all at once; Pulumi refuses them one by one, by URN.
 *
 * @param left the URNs of resources that the update leaves as they are
 */
export function refuseLosses(file: StackFile, state: StackState, evaluation: Evaluation, left: string[] = []): void {
  const wanted = new Map(manifests(evaluation).map(({ key, object }) => [key, object]));
  const resources = state.resources.filter(({ urn }) => !left.includes(urn));
  const problems = protectedIn({ ...state, resources }).flatMap((object) => {
    const after = wanted.get(keyOf(object));
    const forced = after && replacedBy(object as KubernetesObject, after as KubernetesObject);
    if (after && forced?.length === 0) return [];
    const what = forced
      ? `would be replaced, since ${forced.join(" and ")} cannot be changed in place, and is protected from deletion`
      : "no longer configured, and protected from deletion";
    return [`stack ${file.stack}: ${keyTo(object, state)}${titleOf(object)}: ${what}; ${unprotect}`];
  });
  if (problems.length > 0) throw new ConfigError(problems.join("\n"));
}

/** Where a volume's size is, by kind. Those of CloudNativePG's clusters are its operator's. */
const sizes: Record<string, string> = {
  PersistentVolumeClaim: "spec.resources.requests.storage",
  Cluster: "spec.storage.size",
};

/**
 * Refuses a smaller volume, another number of pods where that is final, and fewer partitions of a topic. The program's
 * hooks refuse them too, but `up` runs no preview: the engine would have changed other objects by then.
 */
export function refuseResizes({ stack }: StackFile, { resources }: StackState, evaluation: Evaluation): void {
  const existing = new Map(resources.filter(({ delete: leaving }) => !leaving).map(({ urn, inputs }) => [urn, inputs]));
  const problems = manifests(evaluation).flatMap(({ urn, object }) => {
    const before = existing.get(urn);
    const volume = keyOfVolume(object);
    const [old, fresh] = [before, object].map((one) => valueAt(one, sizes[object.kind] ?? "")) as (
      | string
      | undefined
    )[];
    const smaller = volume && old && fresh && shrinks(stack, volume, old, fresh);
    const pods = (one: unknown) => valueAt(one, "spec.replicas") as number | undefined;
    const fixed = object.metadata.annotations?.[fixedReplicas];
    const resized = fixed && resizes(pods(before), pods(object));
    const topics = (one: unknown) =>
      (valueAt(one, "metadata.annotations") as Record<string, string> | undefined)?.[declaredAnnotation];
    const [had, wants] = [before, object].map(topics);
    const topic = had && wants && cannotFollow(had, wants);
    return [
      ...(smaller ? [smaller] : []),
      ...(resized ? [`stack ${stack}: ${fixed}: ${resized}`] : []),
      ...(topic ? [`stack ${stack}: ${topic}`] : []),
    ];
  });
  // One for each of a component's volumes.
  if (problems.length > 0) throw new ConfigError([...new Set(problems)].join("\n"));
}

/** The block of the stack's file that a volume comes from, by the annotation with the key of its size. */
const keyOfVolume = ({ metadata }: KubeObject): string | undefined =>
  metadata.annotations?.["data-platform/config-key"]?.replace(/\.storage\.size$/, "");

const unprotect =
  "put it back, or give it up for good: set global.protectData to false, run `up` once, then make the change again";

/** Refuses to destroy a stack with protected data. */
export function refuseProtected(file: StackFile, state: StackState): void {
  const held = protectedIn(state);
  if (held.length > 0)
    throw new ConfigError(
      `stack ${file.stack}: protected from deletion: ${held.map(titleOf).join(", ")}; ` +
        "to give up their data for good, set global.protectData to false, run `up` once, then destroy",
    );
}

/** The block of the stack's file that an object comes from, if known: `redis: `. */
function keyTo(object: KubeObject, { resources }: StackState): string {
  const { kind, metadata } = object;
  const volume = keyOfVolume(object);
  if (volume) return `${volume}: `;
  const outputs = resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs;
  const namespaces = Object.entries((outputs?.namespaces ?? {}) as Record<string, string>);
  const [key] = namespaces.find(([, name]) => kind === "Namespace" && name === metadata.name) ?? [];
  return key ? `namespaces.${key}: ` : "";
}
