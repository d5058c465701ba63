import { writeFileSync } from "node:fs";
import { constants } from "node:os";
import type { KubernetesObject } from "../policy/rules/index.ts";
import { BaseRevision, seed } from "../render/diff/base.ts";
import { type Compared, markdown } from "../render/diff/markdown.ts";
import { seeded } from "../render/evaluate.ts";
import { manifests } from "../render/manifests.ts";
import { ConfigError, redactEncrypted, stackNames } from "../render/stack.ts";
import { anyContext, evaluateStack, root, stackFile } from "./project.ts";

export interface DiffOptions {
  base: string;
  /** Without one, all that this checkout has. */
  stack?: string[];
  output?: string;
  maxLength?: number;
}

export async function diff({ base: ref, output, maxLength, ...options }: DiffOptions): Promise<void> {
  const stacks = options.stack ?? stackNames(root);
  const files = stacks.map((stack) => stackFile(stack));
  // Fails before the work if the file cannot be written.
  if (output) write("", output, "a");
  // A normal exit, which removes the other revision's directory.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  say(`checking out ${ref}`);
  const base = await BaseRevision.checkOut(root, ref);
  const compared: Compared[] = [];
  try {
    for (const file of files) {
      const { stack } = file;
      say(`rendering stack ${stack}, here and at ${ref}`);
      // Waits for both: an error of this checkout is thrown, a base that cannot be rendered is reported in the page.
      const [after, before] = await Promise.allSettled([render(file), base.render(stack, say)]);
      if (after.status === "rejected") throw after.reason;
      if (before.status === "fulfilled") compared.push({ stack, before: before.value, after: after.value });
      else if (before.reason instanceof ConfigError) compared.push({ stack, problem: before.reason.message });
      else throw before.reason;
    }
  } finally {
    base.remove();
  }
  const problems = compared.flatMap((one) => ("problem" in one ? [one.problem] : []));
  // Nothing on standard output if no stack could be compared; otherwise the page names those that could not.
  if (problems.length < compared.length || output) write(markdown(ref, compared, maxLength), output);
  if (problems.length > 0) throw new ConfigError(problems.join("\n"));
}

async function render(file: ReturnType<typeof stackFile>): Promise<KubernetesObject[]> {
  const evaluation = await evaluateStack(redactEncrypted(file), {
    random: seeded(seed),
    context: anyContext(file),
  });
  return manifests(evaluation).map(({ object }) => object as KubernetesObject);
}

function write(page: string, output: string | undefined, flag = "w"): void {
  if (output === undefined) return void process.stdout.write(page);
  try {
    writeFileSync(output, page, { flag });
  } catch (error) {
    throw new ConfigError(`--output: ${output}: ${(error as NodeJS.ErrnoException).code}; expected a file to write`);
  }
}

/** Writes progress to standard error: standard output has the page. */
const say = (line: string) => void process.stderr.write(`${line}\n`);
