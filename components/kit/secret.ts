import { createHash, createHmac } from "node:crypto";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Part, Place } from "./part.ts";

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
export function password(part: Part, piece: string, rotation: number): pulumi.Output<string> {
  return new random.RandomPassword(
    part.named(piece),
    { length, special: false, keepers: { rotation: String(rotation) } },
    { parent: part },
  ).result;
}

/**
 * Random bytes that are made once and kept, in url-safe base64 with its padding: for keys that have this form.
 * `rotation` as in `password`; without one they are never made anew.
 */
export function randomKey(part: Part, piece: string, bytes: number, rotation?: number): pulumi.Output<string> {
  const made = new random.RandomBytes(
    part.named(piece),
    { length: bytes, ...(rotation && { keepers: { rotation: String(rotation) } }) },
    { parent: part },
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
  private readonly copyTo: (place: Place) => pulumi.Output<string>;

  private constructor(
    name: pulumi.Output<string>,
    title: string,
    namespace: string,
    revision: pulumi.Output<string>,
    copyTo: (place: Place) => pulumi.Output<string>,
  ) {
    this.title = title;
    this.name = name;
    this.namespace = namespace;
    this.revision = revision;
    this.copyTo = copyTo;
  }

  /** A Secret of the part's own, with these values. */
  static create<K extends string>(part: Part, piece: string, values: Record<K, pulumi.Input<string>>): TypedSecret<K> {
    const make = (resource: string, namespace: string, ready: pulumi.Resource[]) =>
      new k8s.core.v1.Secret(
        resource,
        { metadata: part.metadata(piece, undefined, namespace), stringData: values },
        { parent: part, dependsOn: ready },
      ).metadata.name;
    const own = make(part.named(piece), part.place.namespace, part.place.ready);
    // Keyed by a secret salt: a plain hash of a weak password could be searched for.
    const revision = pulumi
      .all([part.place.salt, pulumi.output(values)])
      .apply(([salt, plain]) => createHmac("sha256", salt).update(JSON.stringify(plain)).digest("hex").slice(0, 16));
    return new TypedSecret<K>(
      own,
      titleOf(part, part.named(piece)),
      part.place.namespace,
      pulumi.unsecret(revision),
      ({ key, namespace, ready }) => make(`${part.named(piece)}-in-${key}`, namespace, ready),
    );
  }

  /**
   * A Secret that someone else keeps, in every namespace whose pods use it. Its values are not ours to read or copy,
   * so `rotation` says when they changed.
   */
  static existing<K extends string>(part: Part, name: string, rotation: number): TypedSecret<K> {
    const there = pulumi.output(name);
    const revision = pulumi.output(`${name}-${rotation}`);
    return new TypedSecret<K>(there, titleOf(part, name), part.place.namespace, revision, () => there);
  }

  key(key: K): SecretKey {
    return { secret: this.name, key, title: `${this.title}, key ${key}` };
  }

  /** The same Secret for pods in `place`, which can read none of another namespace. Made when it is first asked for. */
  in(place: Place): TypedSecret<K> {
    if (place.namespace === this.namespace) return this;
    const copy =
      this.copies.get(place.key) ??
      new TypedSecret<K>(this.copyTo(place), this.title, place.namespace, this.revision, this.copyTo);
    this.copies.set(place.key, copy);
    return copy;
  }
}

const titleOf = (part: Part, name: string): string => `stack ${part.place.stack}: Secret ${name}`;

/** The part of the configuration that says where a password comes from. */
interface Auth {
  rotation: number;
  existingSecret?: string;
}

/** The Secret with a part's own credentials: the one that the stack names, or one made of `values`. */
export function credentials<K extends string>(
  part: Part,
  piece: string,
  auth: Auth,
  values: () => Record<K, pulumi.Input<string>>,
): TypedSecret<K> {
  return auth.existingSecret
    ? TypedSecret.existing<K>(part, auth.existingSecret, auth.rotation)
    : TypedSecret.create(part, piece, values());
}

/** A short name for contents: eight hexadecimal digits. For what is not secret. */
export const fingerprint = (contents: unknown): string =>
  createHash("sha256")
    .update(typeof contents === "string" ? contents : JSON.stringify(contents))
    .digest("hex")
    .slice(0, 8);
