import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { resolveImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";

/** Where a component stands, and what holds for every component that stands there. */
export interface NamespaceContext {
  /** The stack's name: dev, test or prod. */
  stack: string;
  /** Which of the platform's namespaces it is: its key under `namespaces` in the configuration. */
  key: string;
  /** Name of the namespace, which is also the middle of every host name in it. */
  name: string;
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
  role: string;
  /** Name of the container's port. */
  port: string;
  /** Default: `/metrics`. */
  path?: string;
  /** Who asks, where the software wants a name and no password. */
  user?: string;
}

/** How a component's objects are called where its own name does not say enough. */
export interface Naming {
  /** What their names begin with, in place of the component's name. */
  prefix: string;
  /** Labels beside the standard ones, or in place of them, of one component or of what belongs to none. */
  labels: (role?: string) => Record<string, string>;
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
 * One component of the platform. It owns its children, gives them their names and labels, and runs them under a
 * service account of its own that may ask nothing of the API.
 */
export abstract class Component extends pulumi.ComponentResource {
  readonly name: string;
  readonly namespace: NamespaceContext;
  /** Its block in the configuration, where that is not named as the component is. */
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
    namespace: NamespaceContext,
    version: string,
    opts?: pulumi.ComponentResourceOptions,
    naming: Naming = { prefix: name, labels: () => ({}) },
  ) {
    super(`data-platform:index:${kind}`, name, {}, opts);
    this.name = name;
    this.configKey = name;
    this.namespace = namespace;
    this.version = version;
    this.naming = naming;
  }

  /** Name of the account that its pods run under. Made when it is first asked for: others' pods have accounts of theirs. */
  get serviceAccount(): pulumi.Output<string> {
    return this.account();
  }

  /** The same of one component, where that may do something else than the component's other pods. */
  account(role?: string): pulumi.Output<string> {
    const account =
      this.accounts.get(role) ??
      new k8s.core.v1.ServiceAccount(
        this.named(role),
        { metadata: this.metadata(role), automountServiceAccountToken: false },
        this.child(),
      ).metadata.name;
    this.accounts.set(role, account);
    return account;
  }

  /** Options of a child: owned by this component, made after its namespace and after `dependsOn`. */
  child(options: pulumi.CustomResourceOptions & { dependsOn?: pulumi.Resource[] } = {}): pulumi.CustomResourceOptions {
    return { ...options, parent: this, dependsOn: [...this.namespace.ready, ...(options.dependsOn ?? [])] };
  }

  /** Options of a child that holds data: as the stack says, it refuses to be deleted and outlives its resource. */
  dataChild(
    options: pulumi.CustomResourceOptions & { dependsOn?: pulumi.Resource[] } = {},
  ): pulumi.CustomResourceOptions {
    const keep = this.namespace.global.protectData;
    return this.child({ protect: keep, retainOnDelete: keep, ...options });
  }

  /** The component's name, or that of its name with a suffix: `minio`, `minio-headless`. */
  named(suffix?: string): string {
    return suffix ? `${this.naming.prefix}-${suffix}` : this.naming.prefix;
  }

  /** What finds this component's pods. It never changes: a workload's selector cannot. */
  selector(role?: string): Record<string, string> {
    return {
      "app.kubernetes.io/name": this.name,
      "app.kubernetes.io/instance": labelValue(`${this.namespace.stack}-${this.name}`),
      ...(role && { "app.kubernetes.io/component": role }),
    };
  }

  labels(role?: string): Record<string, string> {
    return {
      ...this.selector(role),
      "app.kubernetes.io/version": labelValue(this.version),
      "app.kubernetes.io/part-of": "data-platform",
      "app.kubernetes.io/managed-by": "pulumi",
      ...this.naming.labels(role),
    };
  }

  /** Name, namespace and labels of a child. Its namespace is the component's own, but for copies of Secrets. */
  metadata(suffix?: string, role?: string, namespace = this.namespace.name): Metadata {
    return { name: this.named(suffix), namespace, labels: this.labels(role) };
  }

  /** The image as pods here should name it: by the digest of what was built, or through the mirror where the stack has one. */
  image(reference: string): pulumi.Input<string> {
    return this.namespace.built?.(reference) ?? resolveImage(reference, this.namespace.global.imageRegistry);
  }

  /** The host name of one of this component's Services, from any namespace of the cluster. */
  host(suffix?: string): string {
    return `${this.named(suffix)}.${this.namespace.name}.svc`;
  }
}
