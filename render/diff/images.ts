import { containersOf, type KubernetesObject, podOf } from "../../policy/rules/index.ts";
import type { Change } from "./compare.ts";

/** A changed image, and the objects that use it. A side without an image is undefined. */
export interface ImageChange {
  before?: string;
  after?: string;
  usedBy: string[];
}

/**
 * The images that differ, each pair once. An image that is added or removed with an object is listed only if it is new
 * to the stack or no longer in it.
 */
export function imageChanges(changes: Change[], before: KubernetesObject[], after: KubernetesObject[]): ImageChange[] {
  const imagesIn = (objects: KubernetesObject[]) => new Set(objects.flatMap((one) => [...imagesOf(one).values()]));
  const [had, has] = [imagesIn(before), imagesIn(after)];
  const pairs = new Map<string, ImageChange>();
  for (const change of changes) {
    const [old, fresh] = [imagesOf(change.before), imagesOf(change.after)];
    for (const container of new Set([...old.keys(), ...fresh.keys()])) {
      const pair = { before: old.get(container), after: fresh.get(container) };
      if (pair.before === pair.after) continue;
      if (!pair.before && pair.after && had.has(pair.after)) continue;
      if (!pair.after && pair.before && has.has(pair.before)) continue;
      const key = JSON.stringify(pair);
      const known = pairs.get(key) ?? { ...pair, usedBy: [] };
      if (!known.usedBy.includes(change.title)) known.usedBy.push(change.title);
      pairs.set(key, known);
    }
  }
  return [...pairs.values()];
}

const imagesOf = (object: KubernetesObject | undefined): Map<string, string> => {
  const pod = object && podOf(object);
  return new Map(pod ? containersOf(pod.spec).map(({ name, image }) => [name, image]) : []);
};
