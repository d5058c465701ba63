import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { firstOf, once, when, whenever } from "../config/derived.ts";
import type { Config } from "../config/schema.ts";
import type { NamespaceContext } from "./kit/component.ts";
import type { NamespaceKey } from "./kit/definition.ts";
import { type Door, doorOf } from "./kit/ingress.ts";
import { priorityClasses } from "./kit/priority.ts";

/** The platform's namespaces. Each is created when a component first needs it; core and apps always. */
export class Namespaces {
  private readonly contexts = new Map<NamespaceKey, () => NamespaceContext>();
  private readonly created: NamespaceContext[] = [];
  private readonly args: Pick<NamespaceContext, "stack" | "salt" | "network" | "built"> & { config: Config };
  private readonly opts: pulumi.ComponentResourceOptions;
  /** Empty if the stack has none. */
  private readonly priorities: pulumi.Resource[];

  /** The stack's front door, if it has one. */
  readonly door: Door | undefined;

  constructor(args: Namespaces["args"], opts: pulumi.ComponentResourceOptions) {
    this.args = args;
    this.door = doorOf(args.config);
    this.opts = opts;
    this.priorities = args.config.global.priorityClasses ? priorityClasses(args.stack, opts) : [];
    this.get("core");
    this.get("apps");
  }

  get(key: NamespaceKey): NamespaceContext {
    const context = this.contexts.get(key) ?? once(() => this.create(key));
    this.contexts.set(key, context);
    return context();
  }

  /** The namespaces so far. */
  get all(): NamespaceContext[] {
    return [...this.created];
  }

  /** The name of each namespace so far, by its key in the configuration. */
  get names(): Record<string, string> {
    return Object.fromEntries(this.created.map(({ key, name }) => [key, name]));
  }

  private create(key: NamespaceKey): NamespaceContext {
    const { stack, config, salt, network, built } = this.args;
    const { global, namespaces } = config;
    // Flink's is empty with a single JobManager, and it must be possible to go back to one.
    const protectData = global.protectData && key !== "flink";
    const { name, ready } = new Namespace(key, { stack, settings: namespaces[key], protectData }, this.opts);
    const first = [...ready, ...this.priorities];
    const context = { stack, key, name, ready: first, global, network, door: this.door, salt, built };
    this.created.push(context);
    return context;
  }
}

type Settings = Config["namespaces"]["core"];

/**
 * A namespace that refuses every pod that Pod Security `restricted` does not allow, with a quota and defaults if
 * the stack has them. With `create: false` the stack uses an existing namespace and creates nothing.
 */
export class Namespace extends pulumi.ComponentResource {
  readonly name: string;
  /** Create before any object in the namespace. Empty if the stack does not create it. */
  readonly ready: pulumi.Resource[] = [];

  constructor(
    key: string,
    args: { stack: string; settings: Settings; protectData: boolean },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("data-platform:index:Namespace", key, {}, opts);
    const { stack, settings } = args;
    this.name = firstOf(settings.name, `${stack}-${key}`);
    whenever(settings.create, () => this.make(key, args));
    this.registerOutputs({});
  }

  private make(key: string, args: { stack: string; settings: Settings; protectData: boolean }): void {
    const { stack, settings, protectData } = args;
    const metadata = {
      namespace: this.name,
      labels: {
        "app.kubernetes.io/part-of": "data-platform",
        "app.kubernetes.io/instance": stack,
        "app.kubernetes.io/managed-by": "pulumi",
      },
    };
    const namespace = new k8s.core.v1.Namespace(
      key,
      {
        metadata: {
          name: this.name,
          labels: {
            ...metadata.labels,
            ...Object.fromEntries(
              ["enforce", "warn", "audit"].flatMap((mode) => [
                [`pod-security.kubernetes.io/${mode}`, "restricted"],
                [`pod-security.kubernetes.io/${mode}-version`, "latest"],
              ]),
            ),
          },
        },
      },
      // Deleting a namespace deletes its volumes, even protected ones.
      { parent: this, protect: protectData, retainOnDelete: protectData },
    );
    const child = { parent: this, dependsOn: [namespace] };
    this.ready.push(namespace);

    whenever(settings.quota, ({ cpu, memory, storage, pods }) => {
      const hard = {
        ...when(cpu, (most) => ({ "requests.cpu": most })),
        ...when(memory, (most) => ({ "requests.memory": most })),
        ...when(storage, (most) => ({ "requests.storage": most })),
        ...when(pods, (most) => ({ pods: String(most) })),
      };
      this.ready.push(
        new k8s.core.v1.ResourceQuota(
          `${key}-quota`,
          { metadata: { ...metadata, name: "quota" }, spec: { hard } },
          child,
        ),
      );
    });
    whenever(settings.limitRange, ({ cpu, memory }) => {
      const limits = [{ type: "Container", default: { memory }, defaultRequest: { cpu, memory } }];
      this.ready.push(
        new k8s.core.v1.LimitRange(
          `${key}-limits`,
          { metadata: { ...metadata, name: "limits" }, spec: { limits } },
          child,
        ),
      );
    });
  }
}
