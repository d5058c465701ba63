import type { Transforms } from "./components/transforms.ts";

/**
 * Changes of the components' objects for what no key of the configuration says, by component. docs/transforms.md has
 * examples. Default: none.
 */
export const transforms: Transforms = {};
