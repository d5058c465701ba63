import * as pulumi from "@pulumi/pulumi";
import { derived, derivedFields, firstOf } from "../../config/derived.ts";
import { pinnedImage, resolveImage, tagOf } from "../../config/images.ts";
import type { AccountSettings, RolePods, WorkloadSettings } from "../../config/pods.ts";
import type { Config } from "../../config/schema.ts";
import type { DerivedImage } from "./image.ts";
import type { Door } from "./ingress.ts";
import type { Connects, Network, Server } from "./network.ts";
import type { Usage } from "./usage.ts";

/** A namespace, with what every component in it is given. */
export interface NamespaceContext {
  /** The stack's name: dev, test or prod. */
  stack: string;
  /** Its key under `namespaces` in the configuration. */
  key: string;
  /** Its name in the cluster, which is also part of every host name in it. */
  name: string;
  /** Create before any object in it: the namespace with its quota and limits. Empty if the stack does not create it. */
  ready: pulumi.Resource[];
  global: Config["global"];
  /** The stack's workloads and their connections, from which its NetworkPolicies are made. */
  network: Network;
  /** What the stack's workloads request, from which quotas are made. Default: nobody counts. */
  usage?: Usage | undefined;
  /** How people reach pages by host names. Default: pages have no hosts. */
  door?: Door | undefined;
  /** Key for checksums of passwords. It never leaves the state, so a checksum cannot be used to guess the password. */
  salt: pulumi.Output<string>;
  /**
   * The digest of an image that this program builds: of the platform's own, by its reference, or of a derived one;
   * undefined for other images. Default: it builds none.
   */
  built?: ((image: string | DerivedImage) => pulumi.Output<string> | undefined) | undefined;
}

/** A metrics endpoint of a component's pods, which Prometheus scrapes. */
export interface Metrics {
  /** Role of the workload: its label app.kubernetes.io/component. */
  role: string;
  /** Name of the container's port. */
  port: string;
  /** Default: `/metrics`. */
  path?: string;
  /** User name to send, if the software asks for one without a password. */
  user?: string;
  /** What must be set for the pods to exist. Default: they always do. */
  source?: unknown;
}

/** Names and labels of a component whose objects are not simply named after it. */
export interface Naming {
  /** Replaces the component's name at the start of its objects' names. */
  prefix: string;
  /** Labels added to the standard ones or replacing them. Without `role`: of objects that belong to no single workload. */
  labels: (role?: string) => Record<string, string>;
}

/**
 * The text as a label's value: at most 63 characters, with a letter or digit at both ends. A longer text is cut, so do
 * not rely on this label alone to distinguish objects.
 */
export const labelValue = derived("labelValue", (text: string): string =>
  text
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 63)
    .replace(/[^A-Za-z0-9]+$/, ""),
);

/**
 * What a stack says of the pods of a role. Labels and annotations add up; of every other key the value of the role counts,
 * else the component's, else the default for all. With `quorum` the default `preferred` for zones is not enough.
 */
const rolePods = derivedFields(
  "rolePods",
  (
    { zones, ...usual }: Config["global"]["pods"],
    { roles = {}, ...own }: WorkloadSettings["pods"],
    role: string,
    quorum: boolean,
  ): RolePods => {
    const levels: RolePods[] = [usual, own, roles[role] ?? {}];
    return {
      zones: quorum && zones === "preferred" ? "required" : zones,
      ...Object.assign({}, ...levels),
      labels: Object.assign({}, ...levels.map(({ labels }) => labels)),
      annotations: Object.assign({}, ...levels.map(({ annotations }) => annotations)),
    };
  },
);

type Metadata = { name: string; namespace: string; labels: Record<string, string> };

/** A component of the platform: its identity, and the names, labels and options of its children. */
export abstract class Component extends pulumi.ComponentResource {
  readonly name: string;
  readonly namespace: NamespaceContext;
  /** Path of its block in the configuration. Default: its name. */
  readonly configKey: string;
  /** Metrics endpoints of its pods. Default: none. */
  readonly metrics: Metrics[] = [];
  /** What the stack says of its pods. */
  private readonly workload: WorkloadSettings;
  private readonly version: string;
  private readonly naming: Naming;

  /** `software` decides the label app.kubernetes.io/version: the image's tag, or `version` if the tag is not the version. */
  protected constructor(
    kind: string,
    name: string,
    namespace: NamespaceContext,
    software: WorkloadSettings & ({ image: string } | { version: string }),
    opts?: pulumi.ComponentResourceOptions,
    naming: Naming = { prefix: name, labels: () => ({}) },
  ) {
    super(`data-platform:index:${kind}`, name, {}, opts);
    this.name = name;
    this.configKey = name;
    this.namespace = namespace;
    this.workload = software;
    this.version = "image" in software ? tagOf(software.image) : software.version;
    this.naming = naming;
  }

  /** Options of a child: its parent is this component; it is created after the namespace and `dependsOn`. */
  child(options: pulumi.CustomResourceOptions & { dependsOn?: pulumi.Resource[] } = {}): pulumi.CustomResourceOptions {
    return { ...options, parent: this, dependsOn: [...this.namespace.ready, ...(options.dependsOn ?? [])] };
  }

  /** Options of a child that holds data: with `global.protectData` it is protected, and retained when its resource is deleted. */
  dataChild(
    options: pulumi.CustomResourceOptions & { dependsOn?: pulumi.Resource[] } = {},
  ): pulumi.CustomResourceOptions {
    const keep = this.namespace.global.protectData;
    return this.child({ protect: keep, retainOnDelete: keep, ...options });
  }

  /** Name of an object: the component's, or with a suffix `minio-headless`. */
  named(suffix?: string): string {
    return suffix ? `${this.naming.prefix}-${suffix}` : this.naming.prefix;
  }

  /** Labels that select the component's pods, or those of one workload. Immutable, as a workload's selector is. */
  selector(role?: string): Record<string, string> {
    return {
      "app.kubernetes.io/name": this.name,
      "app.kubernetes.io/instance": labelValue(`${this.namespace.stack}-${this.name}`),
      ...(role && { "app.kubernetes.io/component": role }),
    };
  }

  /** Ports of the pods of `role`, for clients to connect to: by number or by the containers' names for them. */
  serves(role: string, ports: Server["ports"]): Connects {
    return { server: { pods: { namespace: this.namespace.name, labels: this.selector(role) }, ports } };
  }

  /** The standard labels. */
  labels(role?: string): Record<string, string> {
    return {
      ...this.selector(role),
      "app.kubernetes.io/version": labelValue(this.version),
      "app.kubernetes.io/part-of": "data-platform",
      "app.kubernetes.io/managed-by": "pulumi",
      ...this.naming.labels(role),
    };
  }

  /** Metadata of a child. `namespace` differs from the component's only for copies of Secrets. */
  metadata(suffix?: string, role?: string, namespace = this.namespace.name): Metadata {
    return { name: this.named(suffix), namespace, labels: this.labels(role) };
  }

  /** What the stack says of the pods of a role. `quorum`: replicas decide by majority. */
  podsOf(role = "", quorum = false): RolePods {
    return rolePods(this.namespace.global.pods, this.workload.pods, role, quorum);
  }

  /** The existing service account that the stack has for the pods, or those of a role, and the annotations of the platform's. */
  accountOf(role = ""): Pick<AccountSettings, "name" | "annotations"> {
    const { name, annotations, roles = {} } = this.workload.serviceAccount ?? {};
    return { name: firstOf(roles[role]?.name, name), annotations };
  }

  /** Further variables that the stack has for the component's containers. */
  get variables(): Pick<WorkloadSettings, "env" | "envFrom"> {
    return this.workload;
  }

  /**
   * The image as pods name it: the digest of one that this program built, or the reference with the digest that the stack
   * has for it, in the stack's mirror if it has one.
   */
  image(image: string | DerivedImage): pulumi.Input<string> {
    const { imageDigests, imageRegistry } = this.namespace.global;
    const reference = typeof image === "string" ? image : image.reference;
    return this.namespace.built?.(image) ?? resolveImage(pinnedImage(reference, imageDigests), imageRegistry);
  }

  /** Host name of one of the component's Services, valid in every namespace. */
  host(suffix?: string): string {
    return `${this.named(suffix)}.${this.namespace.name}.svc`;
  }
}
