import { execa } from "execa";
import { type Say, UserError } from "../step.ts";

export interface RunOptions {
  /** The command's name in errors; its first three arguments by default. */
  name?: string;
  cwd?: string;
  env?: Record<string, string>;
  /** What the user should do if it fails. */
  hint?: string;
  /** The progress in a line of output, or undefined. */
  show?: (line: string) => string | undefined;
}

const shownTail = 12;

/** Runs a command, reports its progress, and returns its output. If it fails, throws a UserError with its last lines. */
export async function run(say: Say, command: string[], options: RunOptions = {}): Promise<string> {
  const [file = "", ...args] = command;
  const child = execa(file, args, {
    cwd: options.cwd,
    env: { LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive", ...options.env },
    all: true,
    stdin: "ignore",
    reject: false,
    // A long compilation prints megabytes.
    maxBuffer: 256 * 1024 * 1024,
  });
  for await (const line of child.iterable({ from: "all" })) {
    const shown = options.show ? options.show(line) : undefined;
    if (shown) say(shown.slice(0, 100));
  }
  const result = await child;
  if (!result.failed) return result.all;
  const tail = result.all.trimEnd().split("\n").slice(-shownTail);
  throw new UserError(
    [
      `\`${options.name ?? command.slice(0, 3).join(" ")}\` failed${reason(result)}:`,
      ...tail.map((line) => `  ${line}`),
      options.hint,
    ]
      .filter(Boolean)
      .join("\n"),
  );
}

const reason = (result: { exitCode?: number; signal?: string; shortMessage?: string }): string =>
  result.exitCode !== undefined
    ? ` with exit code ${result.exitCode}`
    : result.signal
      ? ` (${result.signal})`
      : ` (${result.shortMessage})`;

/**
 * The command in its own mount and PID namespaces, which the kernel removes with it: a build that is killed, even with
 * SIGKILL or together with this process, leaves no mount and no process. `lock` is a file that is locked while it runs, so
 * that two builds never use one storage.
 */
export const sandboxed = (command: string[], lock?: string): string[] => [
  ...["setpriv", "--pdeathsig", "KILL"],
  ...(lock ? ["flock", "--no-fork", lock] : []),
  ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...command,
];
