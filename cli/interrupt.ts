/**
 * What must happen before the process may end on ^C. Most work here needs nothing: it can be cut off anywhere and
 * run again. Something that keeps books of its own is told to stop, and waited for.
 */
const cleanups = new Set<() => Promise<void>>();

/** Registers work for an interruption; returns how to take it back. */
export function onInterrupt(cleanup: () => Promise<void>): () => void {
  cleanups.add(cleanup);
  return () => void cleanups.delete(cleanup);
}

/** On the first signal ends in order, with a word on how to go on; on the second at once. */
export function handleSignals(command: string): void {
  let stopping = false;
  const stop = async (code: number) => {
    // The cursor, which a running display has hidden.
    if (process.stdout.isTTY) process.stdout.write("\x1b[?25h");
    if (stopping) process.exit(code);
    stopping = true;
    process.stderr.write(`\nstopped; what is done stays done: run \`${command}\` again to go on\n`);
    await Promise.allSettled([...cleanups].map((cleanup) => cleanup()));
    process.exit(code);
  };
  process.on("SIGINT", () => void stop(130));
  process.on("SIGTERM", () => void stop(143));
}
