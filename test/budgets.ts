import { bytes } from "../config/quantity.ts";
import type { Totals } from "../policy/rules/whole.ts";

/**
 * What each stack may request. dev: a laptop. test: one node of 2 CPUs and 20 GiB of memory; its disk is bounded here so that
 * it does not outgrow prod's. prod: as the first lines of Pulumi.prod.yaml promise.
 */
export const budgets: Record<"dev" | "test" | "prod", Totals> = {
  dev: { cpu: 2_000, memory: bytes("4Gi"), storage: bytes("20Gi") },
  test: { cpu: 2_000, memory: bytes("20Gi"), storage: bytes("200Gi") },
  prod: { cpu: 16_000, memory: bytes("32Gi"), storage: bytes("200Gi") },
};
