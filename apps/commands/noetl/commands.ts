import { type Command, Option } from "commander";
import { changing, configFile, context, stack } from "../../../cli/options.ts";

/** Commands for instances of NoETL. */
export function noetlCommands(platform: Command): void {
  const noetl = platform.command("noetl").description("instances of NoETL in a stack, each with its own version");
  const instanceName = () => new Option("-n, --name <name>", "which instance").default("main");
  const asked = (command: Command) =>
    command
      .addOption(
        new Option("--type <type>", "what to install").choices(["version", "package", "dev"]).makeOptionMandatory(),
      )
      .option("--version <version>", "of type version: a release, or latest, the newest that has a server")
      .option("--package-path <directory>", "of type package: the directory with noetl-*.tar.gz or noetl-*.whl")
      .option("--repo-path <directory>", "of type dev: a checkout, whose changes are served as they are made")
      .addOption(instanceName())
      .addOption(stack())
      .addOption(configFile())
      .addOption(context());
  asked(noetl.command("deploy"))
    .description("write an instance into the stack's file and bring it up; it replaces one of the same name")
    .action(changing(async (options) => (await import("./instances.ts")).deploy(options)));
  asked(noetl.command("validate"))
    .description("check what deploy would check, without deploying")
    .action(async (options) => (await import("./instances.ts")).validate(options));
  noetl
    .command("list")
    .description("show the stack's instances")
    .addOption(stack())
    .addOption(configFile())
    .addOption(context())
    .action(async (options) => (await import("./instances.ts")).list(options));
  noetl
    .command("destroy")
    .description("remove an instance from the stack's file and from the cluster; its database stays")
    .addOption(instanceName())
    .addOption(stack())
    .addOption(configFile())
    .addOption(context())
    .action(changing(async (options) => (await import("./instances.ts")).destroy(options)));
}
