import { execa } from "execa";

interface Interruption {
  /** Whether the terminal sent the signal to the processes that this one has started, too. */
  reachedAll: boolean;
}

/**
 * Cleanups that must finish before the process exits on ^C. Most work needs none: it can be interrupted anywhere and
 * run again.
 */
const cleanups = new Set<(how: Interruption) => Promise<void>>();

let stopping = false;

/** Whether a signal is about to end this process. */
export const isStopping = (): boolean => stopping;

/** Registers a cleanup; returns a function that removes it. */
export function onInterrupt(cleanup: (how: Interruption) => Promise<void>): () => void {
  cleanups.add(cleanup);
  return () => void cleanups.delete(cleanup);
}

/** On the first signal runs the cleanups and exits with a hint on how to continue; on the second exits at once. */
export function handleSignals(command: string): void {
  const stop = async (code: number, byKeys: boolean) => {
    // Shows the cursor, which a running display has hidden.
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

/**
 * Whether this process is in the terminal's foreground group, all of which receives ^C. False if a script sent the
 * signal.
 */
async function inForeground(): Promise<boolean> {
  const { stdout } = await execa("ps", ["-o", "pgid=,tpgid=", "-p", String(process.pid)], { reject: false });
  const [group, foreground] = (stdout ?? "").trim().split(/\s+/);
  return group === foreground;
}
