import type { Evaluation } from "../render/evaluate.ts";
import { type KubeObject, manifests } from "../render/manifests.ts";
import type { StackFile } from "../render/stack.ts";
import { type StateResource, stateOf } from "./backend.ts";
import { evaluateRedacted, type Outputs, outputsOf } from "./project.ts";

/** What a stack has: its outputs, and the Kubernetes objects that were made for it. */
export interface Deployed extends Outputs {
  objects: KubeObject[];
}

/**
 * What the last `up` deployed, from Pulumi's state. Before the first `up` has finished: what the program would deploy.
 */
export async function deployed(file: StackFile, context?: string): Promise<Deployed> {
  const { resources } = await stateOf(file);
  return ofState(resources) ?? ofProgram(await evaluateRedacted(file, context));
}

export const ofProgram = (evaluation: Evaluation): Deployed => ({
  ...outputsOf(evaluation),
  objects: manifests(evaluation).map(({ object }) => object),
});

/** Undefined if the state has no outputs: Pulumi writes them at the end of an update. */
export function ofState(resources: StateResource[]): Deployed | undefined {
  const { endpoints, secrets } = (resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs ??
    {}) as Partial<Outputs>;
  if (!endpoints || !secrets) return undefined;
  const objects = resources
    .filter((resource) => resource.custom && !resource.delete && resource.type.startsWith("kubernetes:"))
    // What Pulumi gives the Kubernetes provider is the object.
    .map(({ inputs }) => inputs as KubeObject);
  return { endpoints, secrets, objects };
}
