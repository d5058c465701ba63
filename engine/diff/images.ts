import { containersOf, type KubernetesObject, podOf } from "../../policy/rules/index.ts";
import type { Change } from "./compare.ts";

/** An image that gives way to another, and what runs it. Undefined on the side where there is none. */
export interface ImageChange {
  before?: string;
  after?: string;
  usedBy: string[];
}

/** The images that differ, each pair once. */
export function imageChanges(changes: Change[]): ImageChange[] {
  const pairs = new Map<string, ImageChange>();
  for (const { title, before, after } of changes) {
    const [old, fresh] = [imagesOf(before), imagesOf(after)];
    for (const container of new Set([...old.keys(), ...fresh.keys()])) {
      const pair = { before: old.get(container), after: fresh.get(container) };
      if (pair.before === pair.after) continue;
      const key = JSON.stringify(pair);
      const known = pairs.get(key) ?? { ...pair, usedBy: [] };
      if (!known.usedBy.includes(title)) known.usedBy.push(title);
      pairs.set(key, known);
    }
  }
  return [...pairs.values()];
}

const imagesOf = (object: KubernetesObject | undefined): Map<string, string> => {
  const pod = object && podOf(object);
  return new Map(pod ? containersOf(pod.spec).map(({ name, image }) => [name, image]) : []);
};
