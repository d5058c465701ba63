import * as pulumi from "@pulumi/pulumi";
import { type Evaluation, evaluate, type RandomSource } from "./evaluate.ts";
import { ConfigError, type StackFile } from "./stack.ts";

/** A Pulumi program. `clusterIsThere`: the cluster exists, so the program creates Kubernetes objects only. */
export type Program = (args: { clusterIsThere: true }) => unknown;

/** Evaluates the program for a stack. The program's refusal of the configuration becomes a ConfigError. */
export async function run(
  program: Program,
  file: StackFile,
  options: { random: RandomSource; context?: string },
): Promise<Evaluation> {
  // The context in use, for a stack that requires one.
  const config = { ...file.config, ...(options.context && { "kubernetes:context": options.context }) };
  const secretKeys = [...new Set(file.encrypted.map((path) => path.replace(/\..*/s, "")))];
  try {
    return await evaluate({
      program: () => program({ clusterIsThere: true }),
      stack: file.stack,
      project: file.project,
      config,
      secretKeys,
      random: options.random,
    });
  } catch (error) {
    if (error instanceof Error && pulumi.RunError.isInstance(error)) throw new ConfigError(error.message);
    throw error;
  }
}
