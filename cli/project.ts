import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Evaluation, RandomSource } from "../render/evaluate.ts";
import type { Program } from "../render/run.ts";
import { readStack, redactEncrypted, type StackFile } from "../render/stack.ts";

/** The checkout that this command line belongs to. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** `Pulumi.<stack>.yaml`, or the file that stands in for it. */
export const stackFile = (stack: string, configFile?: string): StackFile => readStack(root, stack, configFile);

/** Evaluates this project's program. Loaded late: commands that do not evaluate it should not wait for Pulumi's SDK. */
export async function evaluateStack(
  file: StackFile,
  options: { random: RandomSource; context?: string },
): Promise<Evaluation> {
  const { run } = await import("../render/run.ts");
  const { default: program } = (await import("../index.ts")) as { default: Program };
  return run(program, file, options);
}

/** The program with a stand-in for every secret: for all that is only looked at. */
export async function evaluateRedacted(file: StackFile, context?: string): Promise<Evaluation> {
  const { redacted } = await import("../render/evaluate.ts");
  return evaluateStack(redactEncrypted(file), { random: redacted, context });
}

/** What the program says of itself: where its parts answer, and which Secrets hold their passwords. */
export interface Outputs {
  endpoints: Record<string, { namespace: string; service: string; host: string; port: number }>;
  secrets: Record<string, { namespace: string; name: string }>;
}
export const outputsOf = (evaluation: Evaluation): Outputs => evaluation.outputs as unknown as Outputs;
