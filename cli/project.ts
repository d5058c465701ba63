import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseConfig } from "../config/problems.ts";
import type { Config } from "../config/schema.ts";
import type { Evaluation, RandomSource } from "../render/evaluate.ts";
import type { Program } from "../render/run.ts";
import { readStack, redactEncrypted, type StackFile } from "../render/stack.ts";

/** The checkout that this command line belongs to. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Reads `Pulumi.<stack>.yaml`, or `configFile` instead. */
export const stackFile = (stack: string, configFile?: string): StackFile => readStack(root, stack, configFile);

/** The blocks of a stack's configuration, by their keys. */
export function blocksOf({ project, config }: StackFile): Record<string, unknown> {
  const own = Object.entries(config).filter(([key]) => key.startsWith(`${project}:`));
  return Object.fromEntries(own.map(([key, value]) => [key.slice(project.length + 1), value]));
}

/** The configuration of a stack's file, with a placeholder for each encrypted value. */
export const configOf = (file: StackFile): Config => parseConfig(file.stack, blocksOf(redactEncrypted(file)));

/** The context for commands that use no cluster: any will do for a stack that requires one. */
export const anyContext = ({ config }: StackFile): string | undefined =>
  config["kubernetes:context"] ? undefined : "none";

/** Evaluates this project's program. Loaded late: commands that do not evaluate it should not wait for Pulumi's SDK. */
export async function evaluateStack(
  file: StackFile,
  options: { random: RandomSource; context?: string },
): Promise<Evaluation> {
  const { run } = await import("../render/run.ts");
  const { default: program } = (await import("../index.ts")) as { default: Program };
  return run(program, file, options);
}

/** Evaluates the program with a placeholder for every secret, for commands that deploy nothing from it. */
export async function evaluateRedacted(file: StackFile, context?: string): Promise<Evaluation> {
  const { redacted } = await import("../render/evaluate.ts");
  return evaluateStack(redactEncrypted(file), { random: redacted, context });
}

/** The program's outputs: the endpoints of its components, and the Secrets with their passwords. */
export interface Outputs {
  endpoints: Record<string, { namespace: string; service: string; host: string; port: number }>;
  secrets: Record<string, { namespace: string; name: string }>;
}
export const outputsOf = (evaluation: Evaluation): Outputs => evaluation.outputs as unknown as Outputs;
