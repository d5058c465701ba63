import { readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { execa } from "execa";
import { UserError } from "../../../local/step.ts";

/*
 * Patches of an application's source, applied by git. git requires exactly the source's paths and line endings;
 * editors, Windows and `diff` without options write others, which are tried too.
 */

/**
 * Applies the patches of a directory to `copy` in the order of their names. Returns a message for each applied patch,
 * and adds to `problems`.
 */
export async function applyPatches(copy: string, patches: string, problems: string[]): Promise<string[]> {
  const there = isKind(patches, "isDirectory") ? readdirSync(patches) : [];
  const names = there.filter((name) => /\.(patch|diff)$/.test(name) && isKind(join(patches, name), "isFile"));
  const done: string[] = [];
  for (const name of names.sort()) {
    const failure = await applyPatch(copy, readFileSync(join(patches, name)));
    if (failure === undefined) done.push(`patches/${name} is applied`);
    else {
      problems.push(`patches/${name} does not apply: ${failure}`);
      // The next patches expect the result of this one.
      break;
    }
  }
  return done;
}

const isKind = (path: string, kind: "isDirectory" | "isFile"): boolean =>
  statSync(path, { throwIfNoEntry: false })?.[kind]() ?? false;

/** Applies one patch, or says why it does not apply. */
async function applyPatch(copy: string, bytes: Buffer): Promise<string | undefined> {
  const patch = unix(bytes);
  const levels = hasPrefixes(patch) ? [1, 0] : [0, 1];
  let reason: string | undefined;
  for (const level of levels) {
    const failure = await git(copy, patch, level);
    if (failure === undefined) return undefined;
    reason ??= failure;
  }
  for (const level of levels) {
    const restore = withoutReturns(copy, patch, level);
    const failure = await git(copy, patch.replaceAll("\r\n", "\n"), level);
    restore();
    if (failure === undefined) return undefined;
  }
  return reason;
}

/** Why git does not apply a patch, without the first `level` folders of its paths; undefined if it does. */
async function git(copy: string, patch: string, level: number): Promise<string | undefined> {
  const { failed, stderr, code } = await execa("git", ["apply", "--whitespace=nowarn", `-p${level}`], {
    cwd: copy,
    input: Buffer.from(patch, "latin1"),
    // Independent of a repository around the copy and of the user's git settings.
    env: {
      GIT_CEILING_DIRECTORIES: dirname(copy),
      GIT_DIR: undefined,
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_NOSYSTEM: "1",
    },
    reject: false,
  });
  if (code === "ENOENT") throw new UserError("patches are applied by git, which is not on PATH");
  return failed ? stderr.trim().split("\n").slice(0, 3).join("; ") : undefined;
}

/**
 * A patch in the form that git reads, each byte a character (latin1): PowerShell's UTF-16 becomes UTF-8, Windows line
 * endings of the patch's own lines become Unix ones, and the last line gets its end.
 */
function unix(bytes: Buffer): string {
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  const utf8 = utf16 ? Buffer.from(bytes.subarray(2).toString("utf16le")) : bytes;
  const text = utf8.toString("latin1").replace(/^\u00ef\u00bb\u00bf/, "");
  const converted = /^(---|\+\+\+|@@|diff --git) .*\r$/m.test(text) ? text.replaceAll("\r\n", "\n") : text;
  return converted === "" || converted.endsWith("\n") ? converted : `${converted}\n`;
}

/** The paths before and after, of each file that a patch names. */
const pathsOf = (patch: string): [string, string][] => {
  const git = [...patch.matchAll(/^diff --git (\S+) (\S+)$/gm)];
  const plain = [...patch.matchAll(/^--- ([^\t\n]+).*\n\+\+\+ ([^\t\n]+)/gm)];
  return [...git, ...plain].map(([, before = "", after = ""]) => [before.trim(), after.trim()]);
};

/** Whether paths have a prefix: git's a/ and b/, or two names of one directory. */
const hasPrefixes = (patch: string): boolean =>
  pathsOf(patch).every(([before, after]) => {
    const [old, fresh] = [before, after].map((path) => path.split("/")[0]);
    if (before === "/dev/null" || after === "/dev/null")
      return /^[abciow]\//.test(before === "/dev/null" ? after : before);
    return old !== fresh;
  });

/**
 * Gives the files of a patch Unix line endings. Returns a function that restores Windows ones in files that mostly had
 * them, under the new name if the patch renames the file.
 */
function withoutReturns(copy: string, patch: string, level: number): () => void {
  const inCopy = (path: string) =>
    join(copy, join("/", Buffer.from(path, "latin1").toString().split("/").slice(level).join("/")));
  const changed = new Set<string>();
  for (const [before, after] of pathsOf(patch)) {
    const file = inCopy(before);
    if (!isOwnFile(copy, file)) continue;
    const text = readFileSync(file, "latin1");
    const [returns, lines] = [/\r\n/g, /\n/g].map((end) => text.match(end)?.length ?? 0) as [number, number];
    writeFileSync(file, text.replaceAll("\r\n", "\n"), "latin1");
    if (returns > lines / 2) changed.add(file).add(inCopy(after));
  }
  return () => {
    for (const file of changed)
      if (isOwnFile(copy, file)) writeFileSync(file, readFileSync(file, "latin1").replace(/\r?\n/g, "\r\n"), "latin1");
  };
}

/** Whether a path is a file in the copy, and not by a symbolic link out of it. */
const isOwnFile = (copy: string, file: string): boolean =>
  isKind(file, "isFile") && realpathSync(file).startsWith(`${realpathSync(copy)}${sep}`);
