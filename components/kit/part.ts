import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { resolveImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";

/** Where a part stands, and what holds for every part that stands there. */
export interface Place {
  /** The stack's name: dev, test or prod. */
  stack: string;
  /** Which of the platform's places it is: its key under `namespaces` in the configuration. */
  key: string;
  /** Name of the namespace, which is also the middle of every host name in it. */
  namespace: string;
  /** What must exist before anything is made here: the namespace with its limits. */
  ready: pulumi.Resource[];
  global: Config["global"];
  /** A secret that never leaves the state: it makes a checksum of a password useless to whoever reads it. */
  salt: pulumi.Output<string>;
  /** Where the program builds images itself: the one that a reference means, if it is such a one. */
  built?: ((reference: string) => pulumi.Output<string> | undefined) | undefined;
}

/** Where Prometheus reads what a component's pods tell of themselves. */
export interface Metrics {
  component: string;
  /** Name of the container's port. */
  port: string;
  /** Default: `/metrics`. */
  path?: string;
  /** Who asks, where the software wants a name and no password. */
  user?: string;
}

/** How a part's objects are called where its own name does not say enough. */
export interface Naming {
  /** What their names begin with, in place of the part's name. */
  prefix: string;
  /** Labels beside the standard ones, or in place of them, of one component or of what belongs to none. */
  labels: (component?: string) => Record<string, string>;
}

/**
 * The text as the value of a label: at most 63 characters, with a letter or digit at both ends. What is cut off a long
 * one is lost, so nothing is told apart by this label alone.
 */
export const labelValue = (text: string): string =>
  text
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 63)
    .replace(/[^A-Za-z0-9]+$/, "");

type Metadata = { name: string; namespace: string; labels: Record<string, string> };

/**
 * One part of the platform. It owns its children, gives them their names and labels, and runs them under a
 * service account of its own that may ask nothing of the API.
 */
export abstract class Part extends pulumi.ComponentResource {
  readonly name: string;
  readonly place: Place;
  /** Its block in the configuration, where that is not named as the part is. */
  readonly configKey: string;
  /** What there is to monitor. */
  readonly metrics: Metrics[] = [];
  private readonly accounts = new Map<string | undefined, pulumi.Output<string>>();
  private readonly version: string;
  private readonly naming: Naming;

  /** `version` is the image's tag, as the standard labels show it. */
  protected constructor(
    kind: string,
    name: string,
    place: Place,
    version: string,
    opts?: pulumi.ComponentResourceOptions,
    naming: Naming = { prefix: name, labels: () => ({}) },
  ) {
    super(`data-platform:index:${kind}`, name, {}, opts);
    this.name = name;
    this.configKey = name;
    this.place = place;
    this.version = version;
    this.naming = naming;
  }

  /** Name of the account that its pods run under. Made when it is first asked for: others' pods have accounts of theirs. */
  get serviceAccount(): pulumi.Output<string> {
    return this.account();
  }

  /** The same of one component, where that may do something else than the part's other pods. */
  account(component?: string): pulumi.Output<string> {
    const account =
      this.accounts.get(component) ??
      new k8s.core.v1.ServiceAccount(
        this.named(component),
        { metadata: this.metadata(component), automountServiceAccountToken: false },
        this.child(),
      ).metadata.name;
    this.accounts.set(component, account);
    return account;
  }

  /** Options of a child: owned by this part, made after its namespace and after `dependsOn`. */
  child(options: pulumi.CustomResourceOptions & { dependsOn?: pulumi.Resource[] } = {}): pulumi.CustomResourceOptions {
    return { ...options, parent: this, dependsOn: [...this.place.ready, ...(options.dependsOn ?? [])] };
  }

  /** Options of a child that holds data: as the stack says, it refuses to be deleted and outlives its resource. */
  dataChild(
    options: pulumi.CustomResourceOptions & { dependsOn?: pulumi.Resource[] } = {},
  ): pulumi.CustomResourceOptions {
    const keep = this.place.global.protectData;
    return this.child({ protect: keep, retainOnDelete: keep, ...options });
  }

  /** The part's name, or that of one of its pieces: `minio`, `minio-headless`. */
  named(piece?: string): string {
    return piece ? `${this.naming.prefix}-${piece}` : this.naming.prefix;
  }

  /** What finds this part's pods. It never changes: a workload's selector cannot. */
  selector(component?: string): Record<string, string> {
    return {
      "app.kubernetes.io/name": this.name,
      "app.kubernetes.io/instance": labelValue(`${this.place.stack}-${this.name}`),
      ...(component && { "app.kubernetes.io/component": component }),
    };
  }

  labels(component?: string): Record<string, string> {
    return {
      ...this.selector(component),
      "app.kubernetes.io/version": labelValue(this.version),
      "app.kubernetes.io/part-of": "data-platform",
      "app.kubernetes.io/managed-by": "pulumi",
      ...this.naming.labels(component),
    };
  }

  /** Name, namespace and labels of a child. Its namespace is the part's own, but for copies of Secrets. */
  metadata(piece?: string, component?: string, namespace = this.place.namespace): Metadata {
    return { name: this.named(piece), namespace, labels: this.labels(component) };
  }

  /** The image as pods here should name it: by the digest of what was built, or through the mirror where the stack has one. */
  image(reference: string): pulumi.Input<string> {
    return this.place.built?.(reference) ?? resolveImage(reference, this.place.global.imageRegistry);
  }

  /** The host name of one of this part's Services, from any namespace of the cluster. */
  host(piece?: string): string {
    return `${this.named(piece)}.${this.place.namespace}.svc`;
  }
}
