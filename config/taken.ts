import { z } from "zod";

/** Names that a mapping refuses since the component sets them itself: the chart checks them too. */
export const taken = z.registry<{
  /** A name that ends in `*` stands for all that begin so. */
  taken: readonly string[];
  /** Of settings: what a name is, and what names a password without being one, as patterns. */
  form?: { name: string; example: string; reference: string; passwords: string };
}>();
