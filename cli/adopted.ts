import type { Kube } from "../kube/client.ts";
import type { KubernetesObject } from "../policy/rules/index.ts";
import type { Evaluation } from "../render/evaluate.ts";
import { type KubeObject, keyOf, manifests, titleOf } from "../render/manifests.ts";
import { ConfigError, type StackFile } from "../render/stack.ts";
import type { StackState } from "./backend.ts";

/*
 * Namespaces that existed before a stack which uses them, and objects that a killed update may have made.
 */

/** The annotation of a namespace that existed before the stack and stays when the stack is destroyed. */
const mark = "data-platform/adopted";

/** Annotates adopted namespaces. */
export async function adopt(kube: Kube, namespaces: KubernetesObject[]): Promise<void> {
  for (const { apiVersion, kind, metadata } of namespaces) {
    await kube.apply({ apiVersion, kind, metadata: { name: metadata.name, annotations: { [mark]: "true" } } });
    console.log(`namespace ${metadata.name}: it exists; the stack takes it over, and leaves it when it is destroyed`);
  }
}

/** Deletes objects that a killed update may have created without recording them. */
export async function deleteBegun(kube: Kube, { pending }: StackState): Promise<void> {
  for (const { type, resource } of pending) {
    if (type !== "creating" || !resource.type.startsWith("kubernetes:") || resource.type.endsWith("Patch")) continue;
    const object = resource.inputs as KubeObject;
    const live = await kube.get(object);
    if (live && live.metadata.annotations?.[mark] !== "true") await kube.delete(object);
  }
}

/** A namespace that a stack has adopted. */
export interface Adopted {
  urn: string;
  object: KubeObject;
}

/** The namespaces that a stack has adopted. */
export async function adoptedIn(kube: Kube, { resources }: Pick<StackState, "resources">): Promise<Adopted[]> {
  const found: Adopted[] = [];
  for (const { urn, type, inputs } of resources) {
    if (type !== "kubernetes:core/v1:Namespace") continue;
    const object = inputs as KubeObject;
    const live = await kube.get(object);
    if (live?.metadata.annotations?.[mark] === "true") found.push({ urn, object });
  }
  return found;
}

/**
 * The adopted namespaces that the program no longer has. An update must exclude them: they are not the stack's to
 * delete. Refuses another name for an adopted namespace: that replaces it, and a replacement cannot be excluded.
 */
export async function adoptedNoLonger(
  kube: Kube,
  file: StackFile,
  evaluation: Evaluation,
  state: StackState,
): Promise<Adopted[]> {
  const wanted = manifests(evaluation);
  const keys = new Set(wanted.map(({ key }) => key));
  const resources = state.resources.filter(({ inputs }) => inputs?.kind && !keys.has(keyOf(inputs as KubeObject)));
  const adopted = await adoptedIn(kube, { resources });
  const problems = adopted.flatMap(({ urn, object }) => {
    const renamed = wanted.find((manifest) => manifest.urn === urn)?.object.metadata.name;
    const { name } = object.metadata;
    return renamed
      ? `stack ${file.stack}: namespaces.${urn.split("::").at(-1)}.name: found ${renamed}; expected ${name}, which existed before the stack and would be deleted; to leave it, create ${renamed} yourself and set create to false`
      : [];
  });
  if (problems.length > 0) throw new ConfigError(problems.join("\n"));
  return adopted;
}

/** A line about a namespace that is not deleted. */
export const leftLine = ({ object }: Adopted): string =>
  `left in the cluster, as it was there before: ${titleOf(object)}`;
