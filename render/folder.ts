import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ConfigError } from "./stack.ts";

/** What a command says of a folder that it writes. */
export interface Folder {
  /** The command, such as `render`: a refusal names it. */
  command: string;
  /** Names in an existing directory that the command did not write: with any, the directory is refused. */
  foreign: (directory: string) => string[];
  /** Whether the files are readable only by their owner. */
  secret: boolean;
}

/**
 * Puts the files into `out`, all or none: written beside it first and renamed, so that an interrupted run keeps the old
 * files. Everything else in `out` is deleted, so a directory with files that the command did not write is refused.
 *
 * @param files Path below `out` → text.
 */
export function writeFolder(out: string, files: Map<string, string>, folder: Folder): void {
  const target = resolve(out);
  refuseForeign(out, target, folder);
  const parent = dirname(target);
  const beside = `.${basename(target)}.platform-`;
  mkdirSync(parent, { recursive: true });
  // Leftovers of an interrupted run.
  for (const name of readdirSync(parent)) if (name.startsWith(beside)) rmSync(join(parent, name), { recursive: true });
  const fresh = join(parent, `${beside}new-${process.pid}`);
  const old = join(parent, `${beside}old-${process.pid}`);
  const [forFolders, forFiles] = folder.secret ? [0o700, 0o600] : [0o755, 0o644];
  mkdirSync(fresh, { mode: forFolders });
  for (const [path, text] of files) {
    mkdirSync(dirname(join(fresh, path)), { recursive: true, mode: forFolders });
    writeFileSync(join(fresh, path), text, { mode: forFiles });
  }
  if (existsSync(target)) renameSync(target, old);
  renameSync(fresh, target);
  rmSync(old, { recursive: true, force: true });
}

function refuseForeign(out: string, target: string, { command, foreign }: Folder): void {
  if (!existsSync(target)) return;
  const expected = "expected a new directory, an empty one or one of its own";
  if (!statSync(target).isDirectory()) throw new ConfigError(`--out: ${out} is a file; ${expected}`);
  const names = foreign(target);
  if (names.length > 0)
    throw new ConfigError(
      `--out: ${out} holds ${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}, ` +
        `which ${command} did not write; ${expected}`,
    );
}
