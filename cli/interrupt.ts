import { execa } from "execa";

interface Interruption {
  /** Whether the terminal sent the signal to the processes that this one has started, too. */
  reachedAll: boolean;
}

/**
 * What must happen before the process may end on ^C. Most work here needs nothing: it can be cut off anywhere and
 * run again. What keeps a state of its own is stopped in order, and waited for.
 */
const cleanups = new Set<(how: Interruption) => Promise<void>>();

let stopping = false;

/** Whether a signal is about to end this process. */
export const isStopping = (): boolean => stopping;

/** Registers work for an interruption; returns how to take it back. */
export function onInterrupt(cleanup: (how: Interruption) => Promise<void>): () => void {
  cleanups.add(cleanup);
  return () => void cleanups.delete(cleanup);
}

/** On the first signal ends in order, with a word on how to go on; on the second at once. */
export function handleSignals(command: string): void {
  const stop = async (code: number, byKeys: boolean) => {
    // The cursor, which a running display has hidden.
    if (process.stdout.isTTY) process.stdout.write("\x1b[?25h");
    if (stopping) process.exit(code);
    stopping = true;
    process.stderr.write(`\nstopped; what is done stays done: run \`${command}\` again to go on\n`);
    const reachedAll = byKeys && cleanups.size > 0 && (await inForeground());
    await Promise.allSettled([...cleanups].map((cleanup) => cleanup({ reachedAll })));
    process.exit(code);
  };
  process.on("SIGINT", () => void stop(130, true));
  process.on("SIGTERM", () => void stop(143, false));
}

/** Whether ^C in a terminal goes to this process, and then to its whole group: not where a script sent the signal. */
async function inForeground(): Promise<boolean> {
  const { stdout } = await execa("ps", ["-o", "pgid=,tpgid=", "-p", String(process.pid)], { reject: false });
  const [group, foreground] = (stdout ?? "").trim().split(/\s+/);
  return group === foreground;
}
