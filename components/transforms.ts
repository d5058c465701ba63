import type * as pulumi from "@pulumi/pulumi";
import { type ComponentKey, componentOf } from "./registry.ts";

/** The fields of a Kubernetes object by their names. A value that is known only later is an Output. */
// biome-ignore lint/suspicious/noExplicitAny: an object's fields differ by its kind
export type Fields = { [field: string]: any };

/** A Kubernetes object that the program is about to create. */
export interface TransformedObject extends Fields {
  apiVersion: string;
  kind: string;
  metadata: Fields & { name?: pulumi.Input<string>; namespace?: pulumi.Input<string>; labels?: Record<string, string> };
}

/** Changes an object in place. It gets a copy of its own. */
export type Transform = (object: TransformedObject) => void;

/** Transforms of each component's objects, by its key in the configuration. They run in their order. */
export type Transforms = { readonly [Key in ComponentKey]?: readonly Transform[] };

/**
 * The transforms as Pulumi runs them, for a resource that is above all others. A transform that changes what identifies
 * an object is an error: other objects refer to it by that.
 */
export const transformation =
  (transforms: Transforms): pulumi.ResourceTransformation =>
  ({ type, name, props, opts }) => {
    if (!type.startsWith("kubernetes:")) return undefined;
    const label: unknown = props.metadata?.labels?.["app.kubernetes.io/name"];
    const component = typeof label === "string" ? componentOf(label) : undefined;
    const own = component ? (transforms[component] ?? []) : [];
    if (own.length === 0) return undefined;
    const object = copied(props) as TransformedObject;
    for (const transform of own) transform(object);
    for (const [field, before, after] of [
      ["kind", props.kind, object.kind],
      ["apiVersion", props.apiVersion, object.apiVersion],
      ["metadata.name", props.metadata.name, object.metadata?.name],
      ["metadata.namespace", props.metadata.namespace, object.metadata?.namespace],
    ])
      if (before !== after)
        throw new Error(
          `transforms.${component}: found another ${field} of ${name}; expected it unchanged, since other objects refer to it`,
        );
    return { props: object, opts };
  };

/** A copy of plain objects and lists, so that a change reaches no other object. Outputs and resources stay. */
function copied(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copied);
  if (value === null || typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copied(inner)]));
}
