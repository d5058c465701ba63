import { whenever } from "../config/derived.ts";
import type { Config } from "../config/schema.ts";
import type { NamespaceContext } from "./kit/component.ts";
import type { Definition, NamespaceKey } from "./kit/definition.ts";
import { type ComponentKey, type NeedsOf, registry, type UsesOf } from "./registry.ts";

/**
 * What the registry says a component is given: its block of the configuration, its namespace, the components that it
 * needs, and those that it uses if they are installed. `Wired` are the components that come before it.
 */
export type Given<Key extends ComponentKey, Wired> = { config: Config[Key]; namespace: NamespaceContext } & {
  [Need in NeedsOf<Key>]: Need extends keyof Wired ? Wired[Need] : never;
} & { [Use in UsesOf<Key>]: (Use extends keyof Wired ? Wired[Use] : never) | undefined };

/**
 * Creates the components that the stack installs and gives each the ones that the registry says. Immutable: `add`
 * returns the next step, whose type has one component more. So the compiler refuses a component that is added before
 * one that it needs, and a chain that leaves out a component of the registry.
 */
export class Wiring<Wired extends object = Record<never, never>> {
  /** The components so far. One that the stack does not install is undefined. */
  readonly components: Partial<Wired>;
  private readonly config: Config;
  private readonly namespace: (key: NamespaceKey) => NamespaceContext;

  constructor(config: Config, namespace: (key: NamespaceKey) => NamespaceContext, components: Partial<Wired>) {
    this.config = config;
    this.namespace = namespace;
    this.components = components;
  }

  /** Creates the component `key` by `create`, if the stack installs it. Throws if one that it needs is not installed. */
  add<Key extends ComponentKey, Created>(
    key: Key,
    create: (given: Given<Key, Wired>) => Created,
  ): Wiring<Wired & Record<Key, Created>> {
    const { isInstalled }: Definition = registry[key];
    const created = whenever(isInstalled(this.config[key]), () => create(this.given(key)));
    // The compiler does not follow a computed key.
    const components = { ...this.components, [key]: created } as Partial<Wired & Record<Key, Created>>;
    return new Wiring(this.config, this.namespace, components);
  }

  /** The end of the chain. Does not compile if a component of the registry has not been added. */
  complete(this: [ComponentKey] extends [keyof Wired] ? this : never): this {
    return this;
  }

  private given<Key extends ComponentKey>(key: Key): Given<Key, Wired> {
    const { needs, uses, namespace }: Definition = registry[key];
    const components: Record<string, unknown> = this.components;
    for (const need of Object.keys(needs))
      if (!components[need]) throw new Error(`${key} needs ${need}, which this stack does not install`);
    const others = [...Object.keys(needs), ...uses].map((other) => [other, components[other]]);
    // What the registry says holds for the types and for these entries alike.
    return {
      config: this.config[key],
      namespace: this.namespace(namespace),
      ...Object.fromEntries(others),
    } as Given<Key, Wired>;
  }
}
