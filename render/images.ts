import { containersOf, podOf } from "../policy/rules/index.ts";
import type { KubernetesObject } from "../policy/rules/object.ts";
import type { Evaluation } from "./evaluate.ts";
import { manifests, titleOf } from "./manifests.ts";
import { chartType } from "./stack.ts";

/**
 * Every image of a stack's pods, and those that the stack sets for charts and operators, each with the objects that use
 * it. In the order in which the program creates them.
 */
export function imagesIn(evaluation: Evaluation): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const add = (image: string, user: string) => {
    const users = found.get(image) ?? [];
    if (!users.includes(user)) users.push(user);
    found.set(image, users);
  };
  for (const { object } of manifests(evaluation)) {
    const title = titleOf(object);
    const { imageName } = (object.spec ?? {}) as { imageName?: string };
    // The image of an operator's pods.
    if (imageName) add(imageName, title);
    const pod = podOf(object as KubernetesObject);
    for (const { image } of pod ? containersOf(pod.spec) : []) add(image, title);
  }
  for (const { type, name, inputs } of evaluation.resources)
    if (type === chartType) for (const image of imagesOfChart(inputs.values)) add(image, `Helm chart ${name}`);
  return found;
}

/** The images among a chart's values: blocks with a repository and a tag. */
function imagesOfChart(values: unknown): string[] {
  if (values === null || typeof values !== "object") return [];
  const { repository, tag } = values as { repository?: string; tag?: string };
  return repository && tag ? [`${repository}:${tag}`] : Object.values(values).flatMap(imagesOfChart);
}
