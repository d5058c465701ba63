import { existsSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Document } from "yaml";
import { UserError } from "../local/step.ts";
import type { StackFile } from "../render/stack.ts";
import { type UpOptions, up } from "./up.ts";

/*
 * Commands that change what a stack runs write it into the stack's file, the one place that says so, and bring the
 * stack up like any other change.
 */

/** The key of a block as the file has it: Pulumi takes one without the project's name too. */
export const keyIn = (document: Document, { project }: Pick<StackFile, "project">, block: string): string =>
  document.hasIn(["config", block]) ? block : `${project}:${block}`;

/** Writes a file that is there. Whoever reads it meanwhile, or finds it after an interruption, finds it whole. */
export function write(path: string, text: string): void {
  const place = realpathSync(path);
  const aside = join(dirname(place), `.${basename(place)}.${process.pid}`);
  try {
    writeFileSync(aside, text, { mode: statSync(place).mode });
    renameSync(aside, place);
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Changes a stack's file and brings the stack up as it then says. Where that fails the file is as it was before, so
 * that the next `up` goes back to it.
 */
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
    // Unless someone has edited it meanwhile.
    if (existsSync(path) && readFileSync(path, "utf8") === after) write(path, before);
    const told = each(error);
    if (!told.every((one): one is UserError => one instanceof UserError)) throw error;
    throw new UserError(`${told.map(({ message }) => message).join("\n")}\n${path} is as it was before`);
  }
}

/** What failed: several things that ran at the same time fail together. */
const each = (error: unknown): unknown[] => (error instanceof AggregateError ? error.errors.flatMap(each) : [error]);
