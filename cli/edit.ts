import { existsSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Document } from "yaml";
import { UserError } from "../local/step.ts";
import type { StackFile } from "../render/stack.ts";
import { type UpOptions, up } from "./up.ts";

/*
 * Commands that change what a stack runs edit the stack's file, the only source of it, and run `up`.
 */

/** The key of a block in the file, with or without the project's name: Pulumi accepts both. */
export const keyIn = (document: Document, { project }: Pick<StackFile, "project">, block: string): string =>
  document.hasIn(["config", block]) ? block : `${project}:${block}`;

/** Replaces an existing file atomically: after an interruption it has either the old or the new text. */
export function write(path: string, text: string): void {
  const target = realpathSync(path);
  const aside = join(dirname(target), `.${basename(target)}.${process.pid}`);
  try {
    writeFileSync(aside, text, { mode: statSync(target).mode });
    renameSync(aside, target);
  } finally {
    rmSync(aside, { force: true });
  }
}

/** Changes a stack's file and runs `up`. If that fails, the file is restored, so that the next `up` goes back to it. */
export async function changed(
  { path }: Pick<StackFile, "path">,
  options: UpOptions,
  edit: (text: string) => string,
): Promise<void> {
  const before = readFileSync(path, "utf8");
  const after = edit(before);
  write(path, after);
  try {
    await up(options);
  } catch (error) {
    // Unless it was edited meanwhile.
    if (existsSync(path) && readFileSync(path, "utf8") === after) write(path, before);
    const errors = each(error);
    if (!errors.every((one): one is UserError => one instanceof UserError)) throw error;
    throw new UserError(`${errors.map(({ message }) => message).join("\n")}\n${path} is as it was before`);
  }
}

/** All errors: steps that run in parallel can fail together. */
const each = (error: unknown): unknown[] => (error instanceof AggregateError ? error.errors.flatMap(each) : [error]);
