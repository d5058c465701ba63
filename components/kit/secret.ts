import { createHash, createHmac } from "node:crypto";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Component, NamespaceContext } from "./component.ts";

/** One key of one Secret, for an environment variable or a file in a pod of the Secret's namespace. */
export interface SecretKey {
  readonly secret: pulumi.Output<string>;
  readonly key: string;
  /** What messages call it: `stack dev: Secret redis-admin, key password`. */
  readonly title: string;
}

/** Length of generated passwords: 32 letters and digits are 190 bits. */
const length = 32;

/**
 * A password that is made once and kept in the stack's state; a higher `rotation` makes it anew.
 * Letters and digits only, since passwords end up in connection URLs.
 */
export function password(component: Component, suffix: string, rotation: number): pulumi.Output<string> {
  return new random.RandomPassword(
    component.named(suffix),
    { length, special: false, keepers: { rotation: String(rotation) } },
    { parent: component },
  ).result;
}

/**
 * Random bytes that are made once and kept, in url-safe base64 with its padding: for keys that have this form.
 * `rotation` as in `password`; without one they are never made anew.
 */
export function randomKey(
  component: Component,
  suffix: string,
  bytes: number,
  rotation?: number,
): pulumi.Output<string> {
  const made = new random.RandomBytes(
    component.named(suffix),
    { length: bytes, ...(rotation && { keepers: { rotation: String(rotation) } }) },
    { parent: component },
  );
  return made.base64.apply((base64) => base64.replaceAll("+", "-").replaceAll("/", "_"));
}

/**
 * A Kubernetes Secret whose keys are known to the compiler: `secret.key("pasword")` is an error.
 * Nothing but references to it ever reaches a pod's specification.
 */
export class TypedSecret<K extends string> {
  readonly name: pulumi.Output<string>;
  readonly namespace: string;
  private readonly title: string;
  /** Changes when a value does, and tells nothing about it: what pods and Jobs that use it are marked with. */
  readonly revision: pulumi.Output<string>;
  /** The same Secret in other namespaces, by the place's key. */
  private readonly copies = new Map<string, TypedSecret<K>>();
  private readonly copyTo: (namespace: NamespaceContext) => pulumi.Output<string>;

  private constructor(
    name: pulumi.Output<string>,
    title: string,
    namespace: string,
    revision: pulumi.Output<string>,
    copyTo: (namespace: NamespaceContext) => pulumi.Output<string>,
  ) {
    this.title = title;
    this.name = name;
    this.namespace = namespace;
    this.revision = revision;
    this.copyTo = copyTo;
  }

  /** A Secret of the component's own, with these values. */
  static create<K extends string>(
    component: Component,
    suffix: string,
    values: Record<K, pulumi.Input<string>>,
  ): TypedSecret<K> {
    const make = (resource: string, namespace: string, ready: pulumi.Resource[]) =>
      new k8s.core.v1.Secret(
        resource,
        { metadata: component.metadata(suffix, undefined, namespace), stringData: values },
        { parent: component, dependsOn: ready },
      ).metadata.name;
    const own = make(component.named(suffix), component.namespace.name, component.namespace.ready);
    // Keyed by a secret salt: a plain hash of a weak password could be searched for.
    const revision = pulumi
      .all([component.namespace.salt, pulumi.output(values)])
      .apply(([salt, plain]) => createHmac("sha256", salt).update(JSON.stringify(plain)).digest("hex").slice(0, 16));
    return new TypedSecret<K>(
      own,
      titleOf(component, component.named(suffix)),
      component.namespace.name,
      pulumi.unsecret(revision),
      ({ key, name, ready }) => make(`${component.named(suffix)}-in-${key}`, name, ready),
    );
  }

  /**
   * A Secret that someone else keeps, in every namespace whose pods use it. Its values are not ours to read or copy,
   * so `rotation` says when they changed.
   */
  static existing<K extends string>(component: Component, name: string, rotation: number): TypedSecret<K> {
    const there = pulumi.output(name);
    const revision = pulumi.output(`${name}-${rotation}`);
    return new TypedSecret<K>(there, titleOf(component, name), component.namespace.name, revision, () => there);
  }

  key(key: K): SecretKey {
    return { secret: this.name, key, title: `${this.title}, key ${key}` };
  }

  /** The same Secret for pods in `namespace`, which can read none of another namespace. Made when it is first asked for. */
  in(namespace: NamespaceContext): TypedSecret<K> {
    if (namespace.name === this.namespace) return this;
    const copy =
      this.copies.get(namespace.key) ??
      new TypedSecret<K>(this.copyTo(namespace), this.title, namespace.name, this.revision, this.copyTo);
    this.copies.set(namespace.key, copy);
    return copy;
  }
}

const titleOf = (component: Component, name: string): string => `stack ${component.namespace.stack}: Secret ${name}`;

/** The part of the configuration that says where a password comes from. */
interface Auth {
  rotation: number;
  existingSecret?: string;
}

/** The Secret with a component's own credentials: the one that the stack names, or one made of `values`. */
export function credentials<K extends string>(
  component: Component,
  suffix: string,
  auth: Auth,
  values: () => Record<K, pulumi.Input<string>>,
): TypedSecret<K> {
  return auth.existingSecret
    ? TypedSecret.existing<K>(component, auth.existingSecret, auth.rotation)
    : TypedSecret.create(component, suffix, values());
}

/** A short name for contents: eight hexadecimal digits. For what is not secret. */
export const fingerprint = (contents: unknown): string =>
  createHash("sha256")
    .update(typeof contents === "string" ? contents : JSON.stringify(contents))
    .digest("hex")
    .slice(0, 8);
