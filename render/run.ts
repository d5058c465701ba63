import * as pulumi from "@pulumi/pulumi";
import { type Evaluation, evaluate, type RandomSource } from "./evaluate.ts";
import { ConfigError, type StackFile } from "./stack.ts";

/** A program, told that whoever evaluates it brings the cluster along: it is to make Kubernetes objects alone. */
export type Program = (told: { clusterIsThere: true }) => unknown;

/** Evaluates the program for a stack; what the program itself says is wrong with the configuration is a ConfigError. */
export async function run(
  program: Program,
  file: StackFile,
  options: { random: RandomSource; context?: string },
): Promise<Evaluation> {
  // A program that asks for its cluster's context gets the one that is going to be used.
  const config = { ...file.config, ...(options.context && { "kubernetes:context": options.context }) };
  const secretKeys = [...new Set(file.encrypted.map((path) => path.split(".")[0]!))];
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
