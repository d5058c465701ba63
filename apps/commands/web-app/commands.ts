import type { Command } from "commander";
import { configFile, context, path, stack } from "../../../cli/options.ts";

/** The command that writes versions of the web app into another stack's file. */
export function promoteCommand(platform: Command): void {
  platform
    .command("promote")
    .description(
      "write the versions of the web app that one stack runs, and that pass their checks there, into another's file",
    )
    .requiredOption("--from <stack>", "the stack that runs them, such as test")
    .requiredOption("--to <stack>", "the stack whose file is written, such as prod")
    .addOption(path("--from-file <file>", "a stack file in place of the first one's Pulumi.<name>.yaml"))
    .addOption(path("--to-file <file>", "a stack file in place of the second one's Pulumi.<name>.yaml"))
    .addOption(context())
    .option("-y, --yes", "write without asking", false)
    .action(async (options) => (await import("./promote.ts")).promote(options));
}

/** Commands for the web app's data. */
export function webAppCommands(platform: Command): void {
  const webApp = platform.command("web-app").description("backups of the web app's Redis");
  webApp
    .command("backup")
    .description("copy Redis to MinIO now, as the scheduled backup does")
    .addOption(stack())
    .addOption(configFile())
    .addOption(context())
    .action(async (options) => (await import("./backups.ts")).backup(options));
  webApp
    .command("restore")
    .description("replace all data in Redis by a backup")
    .requiredOption("--from <backup>", "its name, as `backup` prints it")
    .addOption(stack())
    .addOption(configFile())
    .addOption(context())
    .action(async (options) => (await import("./backups.ts")).restore(options));
}
