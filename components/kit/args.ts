import type { NamespaceContext } from "./component.ts";

/** Arguments of every component. `C` is the component's block of the configuration. */
export interface ComponentArgs<C> {
  /** Namespace of the component's objects. */
  namespace: NamespaceContext;
  /** The component's block of the stack's configuration, validated and with its defaults. */
  config: C;
}
