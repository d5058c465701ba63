import { createHash, createHmac } from "node:crypto";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { derived, either, once, unless } from "../../config/derived.ts";
import type { Component, NamespaceContext } from "./component.ts";

/** One key of one Secret, for an environment variable or a file in a pod of the Secret's namespace. */
export interface SecretKey {
  readonly secret: pulumi.Output<string>;
  readonly key: string;
  /** Its name in messages: `stack dev: Secret redis-admin, key password`. */
  readonly title: string;
}

/** Length of generated passwords: 32 letters and digits are 190 bits. */
const length = 32;

/**
 * A password that is generated once and kept in the stack's state. A change of `rotation` generates another one.
 * Letters and digits only, because passwords are used in connection URLs.
 */
export function password(component: Component, suffix: string, rotation: number): pulumi.Output<string> {
  return new random.RandomPassword(
    component.named(suffix),
    { length, special: false, keepers: { rotation: String(rotation) } },
    { parent: component },
  ).result;
}

/**
 * Random bytes in url-safe base64 with padding, for keys of this form. Generated once and kept in the stack's state.
 * `rotation` as in `password`; without it the key never changes.
 */
export function randomKey(
  component: Component,
  suffix: string,
  bytes: number,
  rotation?: number,
): pulumi.Output<string> {
  const generated = new random.RandomBytes(
    component.named(suffix),
    { length: bytes, ...(rotation && { keepers: { rotation: String(rotation) } }) },
    { parent: component },
  );
  return generated.base64.apply(urlSafe);
}

const urlSafe = derived("urlSafe", (base64: string): string => base64.replaceAll("+", "-").replaceAll("/", "_"));

/**
 * A Kubernetes Secret whose keys are a type: `secret.key("pasword")` does not compile. Pod specifications only hold
 * references to its keys.
 */
export class TypedSecret<K extends string> {
  readonly name: pulumi.Output<string>;
  readonly namespace: string;
  private readonly title: string;
  /** Changes with the values and does not reveal them: the checksum of pods and Jobs that use the Secret. */
  readonly revision: pulumi.Output<string>;
  /** Copies in other namespaces, by `NamespaceContext.key`. */
  private readonly copies = new Map<string, () => TypedSecret<K>>();
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

  /** Creates a Secret with these values, unless there is an existing one. */
  static create<K extends string>(
    component: Component,
    suffix: string,
    values: () => Record<K, pulumi.Input<string>>,
    { existingSecret, rotation }: Partial<Auth> = {},
  ): TypedSecret<K> {
    const own = component.named(suffix);
    const stringData = unless(existingSecret, values) ?? {};
    const make = (resource: string, namespace: string, ready: pulumi.Resource[]) => {
      const made = unless(
        existingSecret,
        () =>
          new k8s.core.v1.Secret(
            resource,
            { metadata: component.metadata(suffix, undefined, namespace), stringData },
            { parent: component, dependsOn: ready },
          ),
      );
      return (made?.metadata.name ?? pulumi.output(own)).apply((name) =>
        either(
          existingSecret,
          (existing) => existing,
          () => name,
        ),
      );
    };
    // Keyed by a secret salt: a plain hash of a weak password could be reversed by brute force.
    const revision = pulumi.all([component.namespace.salt, pulumi.output(stringData)]).apply(([salt, plain]) =>
      either(
        existingSecret,
        (name) => `${name}-${rotation}`,
        () => revisionOf(salt, JSON.stringify(plain)),
      ),
    );
    return new TypedSecret<K>(
      make(own, component.namespace.name, component.namespace.ready),
      titleOf(
        component,
        either(
          existingSecret,
          (name) => name,
          () => own,
        ),
      ),
      component.namespace.name,
      pulumi.unsecret(revision),
      ({ key, name, ready }) => make(`${own}-in-${key}`, name, ready),
    );
  }

  /**
   * A Secret that the user maintains, under the same name in every namespace whose pods use it. The program neither
   * reads nor copies it, so the user changes `rotation` when the values change.
   */
  static existing<K extends string>(component: Component, name: string, rotation: number): TypedSecret<K> {
    const output = pulumi.output(name);
    const revision = pulumi.output(`${name}-${rotation}`);
    return new TypedSecret<K>(output, titleOf(component, name), component.namespace.name, revision, () => output);
  }

  /** A reference to one key, for pods in the Secret's namespace. */
  key(key: K): SecretKey {
    return { secret: this.name, key, title: `${this.title}, key ${key}` };
  }

  /**
   * The Secret for pods in `namespace`. Pods cannot read another namespace's Secrets, so the first call creates a copy.
   */
  in(namespace: NamespaceContext): TypedSecret<K> {
    if (namespace.name === this.namespace) return this;
    const copy =
      this.copies.get(namespace.key) ??
      once(() => new TypedSecret<K>(this.copyTo(namespace), this.title, namespace.name, this.revision, this.copyTo));
    this.copies.set(namespace.key, copy);
    return copy();
  }
}

const titleOf = (component: Component, name: string): string => `stack ${component.namespace.stack}: Secret ${name}`;

/** The block `auth` of a component's configuration. */
interface Auth {
  rotation: number;
  existingSecret?: string | undefined;
}

/** The Secret of a component's own credentials: the existing one that the stack names, or a new one with `values`. */
export function credentials<K extends string>(
  component: Component,
  suffix: string,
  auth: Auth,
  values: () => Record<K, pulumi.Input<string>>,
): TypedSecret<K> {
  return TypedSecret.create(component, suffix, values, auth);
}

const revisionOf = derived("revisionOf", (salt: string, values: string): string =>
  createHmac("sha256", salt).update(values).digest("hex").slice(0, 16),
);

/** Short hash of the files of the ConfigMap `name`. */
export const checksumOf = derived("checksumOf", (_name: string, files: Record<string, string>): string =>
  fingerprint(files),
);

/** Short hash of contents that are not secret: eight hexadecimal digits. */
export const fingerprint = (contents: unknown): string =>
  hash(typeof contents === "string" ? contents : JSON.stringify(contents));

const hash = derived("hash", (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8));
