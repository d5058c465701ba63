import { CommanderError } from "commander";
import { UserError } from "../local/step.ts";
import { platform } from "./commands.ts";
import { isStopping } from "./interrupt.ts";

/** Prints an error and returns the exit code. A stack trace only for a bug. */
function complain(error: unknown): number {
  // Commander has printed it already; --help is no error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof AggregateError) return Math.max(...error.errors.map(complain));
  if (!(error instanceof UserError)) {
    console.error("This is a bug in the platform's tools:", error);
    return 1;
  }
  console.error(error.message);
  return error.name === "ConfigError" ? 2 : 1;
}

// The reader may close the pipe early: `./platform status | head -1`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

try {
  await platform.parseAsync();
} catch (error) {
  // At once: work that runs in parallel is of no use any more. An interrupted process exits by itself after its
  // cleanups.
  if (!isStopping()) process.exit(complain(error));
}
