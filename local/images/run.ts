import { execa } from "execa";
import { type Say, UserError } from "../step.ts";

export interface RunOptions {
  /** What to call the command when it fails; its first words by default. */
  name?: string;
  cwd?: string;
  env?: Record<string, string>;
  /** What to tell the user to do when it fails. */
  hint?: string;
  /** What of a line of output is worth showing, or nothing. */
  show?: (line: string) => string | undefined;
}

const shownTail = 12;

/** Runs a command to its end, says how it gets on, and fails with its last lines. Returns all it printed. */
export async function run(say: Say, command: string[], options: RunOptions = {}): Promise<string> {
  const [file = "", ...args] = command;
  const child = execa(file, args, {
    cwd: options.cwd,
    env: { LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive", ...options.env },
    all: true,
    stdin: "ignore",
    reject: false,
    // A long compilation prints megabytes; what matters is at the end.
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
 * The same command in mount and process namespaces of its own, which the kernel takes down with it: a build that is
 * killed, even with SIGKILL and even together with this process, leaves no mount and no process behind.
 * `lock` is a file held meanwhile, so that two builds never share a storage.
 */
export const sandboxed = (command: string[], lock?: string): string[] => [
  ...["setpriv", "--pdeathsig", "KILL"],
  ...(lock ? ["flock", "--no-fork", lock] : []),
  ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...command,
];
