import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { firstOf, once, when, whenever } from "../config/derived.ts";
import type { Config } from "../config/schema.ts";
import type { NamespaceContext } from "./kit/component.ts";
import type { NamespaceKey } from "./kit/definition.ts";
import { type Door, doorOf } from "./kit/ingress.ts";
import { priorityClasses } from "./kit/priority.ts";
import { limitsOf, quotaOf, Usage } from "./kit/usage.ts";

/** The platform's namespaces. Each is created when a component first needs it; core and apps always. */
export class Namespaces {
  private readonly contexts = new Map<NamespaceKey, () => NamespaceContext>();
  private readonly created: NamespaceContext[] = [];
  private readonly args: Pick<NamespaceContext, "stack" | "salt" | "network" | "built"> & { config: Config };
  private readonly opts: pulumi.ComponentResourceOptions;
  /** Empty if the stack has none. */
  private readonly priorities: pulumi.Resource[];

  /** What workloads request. Undefined without quotas that follow from it. */
  private readonly usage: Usage | undefined;

  /** The stack's front door, if it has one. */
  readonly door: Door | undefined;

  constructor(args: Namespaces["args"], opts: pulumi.ComponentResourceOptions) {
    this.args = args;
    this.door = doorOf(args.config);
    this.usage = args.config.global.quotas ? new Usage() : undefined;
    this.opts = opts;
    this.priorities = whenever(args.config.global.priorityClasses, () => priorityClasses(args.stack, opts)) ?? [];
    this.get("core");
    this.get("apps");
  }

  get(key: NamespaceKey): NamespaceContext {
    const context = this.contexts.get(key) ?? once(() => this.create(key));
    this.contexts.set(key, context);
    return context();
  }

  /** To be called when every workload has been created: the quotas follow from them. */
  complete(): void {
    this.usage?.complete();
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
    // In these two, the program runs no pods.
    const usage = key === "deployed" || key === "flink" ? undefined : this.usage;
    const { name, ready } = new Namespace(key, { stack, settings: namespaces[key], protectData, usage }, this.opts);
    const first = [...ready, ...this.priorities];
    const context = { stack, key, name, ready: first, global, network, usage, door: this.door, salt, built };
    this.created.push(context);
    return context;
  }
}

interface NamespaceArgs {
  stack: string;
  settings: Config["namespaces"]["core"];
  protectData: boolean;
  /** What its quota and limits follow from. Default: it has only those that are configured. */
  usage?: Usage | undefined;
}

/**
 * A namespace that refuses every pod that Pod Security `restricted` does not allow, with a quota and defaults if
 * the stack has them. With `create: false` the stack uses an existing namespace and creates nothing.
 */
export class Namespace extends pulumi.ComponentResource {
  readonly name: string;
  /** Create before any object in the namespace. Empty if the stack does not create it. */
  readonly ready: pulumi.Resource[] = [];

  constructor(key: string, args: NamespaceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("data-platform:index:Namespace", key, {}, opts);
    const { stack, settings } = args;
    this.name = firstOf(settings.name, `${stack}-${key}`);
    whenever(settings.create, () => this.make(key, args));
    this.registerOutputs({});
  }

  private make(key: string, args: NamespaceArgs): void {
    const { stack, settings, protectData, usage } = args;
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

    const quota = (hard: pulumi.Input<Record<string, string>>) =>
      this.ready.push(
        new k8s.core.v1.ResourceQuota(
          `${key}-quota`,
          { metadata: { ...metadata, name: "quota" }, spec: { hard } },
          child,
        ),
      );
    const limitRange = (limits: pulumi.Input<k8s.types.input.core.v1.LimitRangeItem[]>) =>
      this.ready.push(
        new k8s.core.v1.LimitRange(
          `${key}-limits`,
          { metadata: { ...metadata, name: "limits" }, spec: { limits } },
          child,
        ),
      );
    if (usage) quota(usage.total(this.name).apply((total) => quotaOf(total, settings.quota)));
    else
      whenever(settings.quota, ({ cpu, memory, storage, pods }) =>
        quota({
          ...when(cpu, (most) => ({ "requests.cpu": most })),
          ...when(memory, (most) => ({ "requests.memory": most })),
          ...when(storage, (most) => ({ "requests.storage": most })),
          ...when(pods, (most) => ({ pods: String(most) })),
        }),
      );
    if (usage && !settings.limitRange) limitRange(usage.total(this.name).apply(limitsOf));
    else
      whenever(settings.limitRange, ({ cpu, memory }) =>
        limitRange([{ type: "Container", default: { memory }, defaultRequest: { cpu, memory } }]),
      );
  }
}
