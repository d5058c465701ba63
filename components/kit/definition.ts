import type { z } from "zod";
import type { ImageDefinition } from "./image.ts";

/** The key under `namespaces` in a stack's configuration. */
export type NamespaceKey = "core" | "apps" | "monitoring" | "deployed" | "flink" | "operators";

/**
 * The facts of a component: the schema, the wiring and the documentation are derived from them. Pure, like the schema:
 * reading them loads neither Pulumi nor the component.
 */
export interface Definition<
  Schema extends z.ZodType = z.ZodType,
  Needs extends Record<string, string> = Record<string, string>,
  Uses extends string = string,
> {
  /** The product's name as it writes it. */
  title: string;
  /** What the component is for, as a table of the documentation says it: no full stop. */
  summary: string;
  /** Its folder in `components/`. */
  folder: string;
  /** How its images are built where no registry has them, or it cannot be reached. */
  images: readonly ImageDefinition[];
  /** The label app.kubernetes.io/name of its objects. */
  names: RegExp;
  /** Its page in `docs/`. */
  page: string;
  /** The namespace that its objects are in. */
  namespace: NamespaceKey;
  /** Its block in a stack's configuration. */
  config: Schema;
  /** The components that it does not work without, and the reason, as in "since <reason>". */
  needs: Needs;
  /** The components that it works with if the stack enables them. */
  uses: readonly Uses[];
  /** Whether the stack installs it. */
  isInstalled: (config: z.output<Schema>) => boolean;
}

/** What has a default. */
type Defaulted = "images" | "names" | "page" | "needs" | "uses" | "isInstalled";

/** A definition in which what is usual is left out. */
type Given<Schema extends z.ZodType, Needs extends Record<string, string>, Uses extends string> = Omit<
  Definition<Schema, Needs, Uses>,
  Defaulted
> &
  Partial<Pick<Definition<Schema, Needs, Uses>, Defaulted>>;

type Nothing = Record<never, string>;

/**
 * Defines a component that a stack installs by `enabled`. By default its objects and its page have the name of its
 * folder, and it has no images and neither needs nor uses another component.
 */
export const component = <
  Schema extends z.ZodType<{ enabled: boolean }>,
  const Needs extends Record<string, string> = Nothing,
  const Uses extends string = never,
>(
  given: Given<Schema, Needs, Uses>,
): Definition<Schema, Needs, Uses> => complete(given, ({ enabled }) => enabled);

/** Defines a component with instances by name. A stack installs it by naming one. Defaults as for `component`. */
export const instances = <
  Schema extends z.ZodType<Record<string, object>>,
  const Needs extends Record<string, string> = Nothing,
  const Uses extends string = never,
>(
  given: Given<Schema, Needs, Uses>,
): Definition<Schema, Needs, Uses> => complete(given, (all) => Object.keys(all).length > 0);

const complete = <Schema extends z.ZodType, Needs extends Record<string, string>, Uses extends string>(
  given: Given<Schema, Needs, Uses>,
  isInstalled: (config: z.output<Schema>) => boolean,
): Definition<Schema, Needs, Uses> => ({
  images: [],
  names: new RegExp(`^${given.folder}$`),
  page: `${given.folder}.md`,
  // Without needs, the compiler infers the empty type for them.
  needs: {} as Needs,
  uses: [],
  isInstalled,
  ...given,
});
