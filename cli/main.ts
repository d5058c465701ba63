import { CommanderError } from "commander";
import { UserError } from "../local/step.ts";
import { platform } from "./commands.ts";
import { isStopping } from "./interrupt.ts";

/** What went wrong, in the user's words; where it was in our code only when it was our mistake. */
function complain(error: unknown): number {
  // Commander has said it already; asking for help is no mistake.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof AggregateError) return Math.max(...error.errors.map(complain));
  if (!(error instanceof UserError)) {
    console.error("This is a bug in the platform's tools:", error);
    return 1;
  }
  console.error(error.message);
  return error.name === "ConfigError" ? 2 : 1;
}

// Whoever reads the output may have seen enough: `./platform status | head -1`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

try {
  await platform.parseAsync();
} catch (error) {
  // At once: what was started beside the failed work has nothing left to work for. An interrupted process ends by itself,
  // when all that it has to wait for is done.
  if (!isStopping()) process.exit(complain(error));
}
