import { type Command, InvalidArgumentError, Option } from "commander";
import { changing, configFile, context, path, stack } from "../../../cli/options.ts";

/** Commands for external Django applications. */
export function djangoCommands(platform: Command): void {
  const app = platform.command("app").description("external Django applications, in a stack on the local cluster");
  const name = () => new Option("-n, --name <name>", "the application's name in the stack").makeOptionMandatory();
  const described = (command: Command) =>
    command
      .addOption(name())
      .addOption(
        new Option(
          "-v, --version <version>",
          "a semantic version, which becomes the image's tag",
        ).makeOptionMandatory(),
      )
      .addOption(
        path(
          "-p, --path <directory>",
          "its source, with manage.py in it or below; patches/ in it is applied to a copy",
        ).makeOptionMandatory(),
      )
      .addOption(path("--dockerfile <file>", "in place of the Dockerfile in its source"))
      .addOption(path("--build-context <directory>", "the build context, if it is a directory above --path"))
      .option("--application <module>", "what gunicorn serves, such as shop.wsgi, if it cannot be detected")
      .option("--env <NAME=value...>", "variables of its pods, added to those in the stack")
      .addOption(
        new Option(
          "--env-from <reference...>",
          "secret/<name> or configmap/<name> whose keys become variables",
        ).argParser(reference),
      )
      .option(
        "--health-path <path>",
        "answers 200 to 399 when the application is ready; default: the stack's, else /healthz",
      )
      .addOption(stack())
      .addOption(configFile())
      .addOption(context());
  /** For a new application only: an update keeps the database, which has the data. */
  const database = () =>
    new Option(
      "--database <where>",
      "its database server; default: the stack's, else the platform's PostgreSQL",
    ).choices(["postgresql", "cloudnative-pg"]);
  described(app.command("create"))
    .description("build a Django application's image, and bring the stack up with it")
    .addOption(database())
    .action(changing(async (options) => (await import("./deploy.ts")).create(options)));
  described(app.command("validate"))
    .description("check all that create and update would, without building or deploying")
    .addOption(database())
    .action(async (options) => (await import("./deploy.ts")).validate(options));
  described(app.command("update"))
    .description("deploy another version; the running one serves until the new one is ready")
    .action(changing(async (options) => (await import("./deploy.ts")).update(options)));
  app
    .command("delete")
    .description("remove an application from a stack; its database stays")
    .addOption(name())
    .addOption(stack())
    .addOption(configFile())
    .addOption(context())
    .action(changing(async (options) => (await import("./deploy.ts")).remove(options)));
}

function reference(text: string, before: object[] = []): object[] {
  const [, kind, name] = /^(secret|configmap)\/(.+)$/.exec(text) ?? [];
  if (!name) throw new InvalidArgumentError("Expected secret/<name> or configmap/<name>.");
  return [...before, kind === "secret" ? { secretRef: { name } } : { configMapRef: { name } }];
}
