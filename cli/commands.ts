import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { handleSignals } from "./interrupt.ts";
import { lock } from "./lock.ts";

/*
 * The commands and their help. A command's code is loaded when it runs: the SDK and the Kubernetes client take a second
 * or two, for which `--help` and a misspelt option should not wait.
 */

const asTyped = ["./platform", ...process.argv.slice(2)].join(" ");

const stack = () => new Option("-s, --stack <name>", "which Pulumi.<name>.yaml").default("dev");
const context = () => new Option("-c, --context <name>", "a context of your kubeconfig, in place of a local cluster");
const file = (flag: string, what: string) =>
  new Option(`${flag} <file>`, what).argParser((path: string) => resolve(path));
const configFile = () => file("--config-file", "a stack file in place of Pulumi.<name>.yaml");

export const platform = new Command("platform")
  .description(
    "A whole data platform on Kubernetes. `up` brings it up; the other commands inspect, change and delete it.",
  )
  .exitOverride()
  .showHelpAfterError("(--help shows what is possible)")
  .configureHelp({ showGlobalOptions: false })
  .addHelpText(
    "after",
    "\nExit codes: 0 done, 1 failed, 2 the command or the configuration is wrong, 130 interrupted.",
  );

platform
  .command("up")
  .description("bring a stack up, or up to date: run it again at any time, also after an interruption")
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .addHelpText(
    "after",
    `
The cluster is --context, else the one that the stack names, else kind if Docker is running, else an embedded
cluster on this machine (Linux, root). Pulumi is the one on PATH, else its release, else built once from Go modules,
while the images are built.`,
  )
  .action(changing(async (options) => (await import("./up.ts")).up(options)));

platform
  .command("preview")
  .description("show what up would do: what is created, updated, replaced and deleted, and which fields change")
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .option("--diff", "show the contents of each changed field, before and after", false)
  .action(changing(async (options) => (await import("./preview.ts")).preview(options)));

platform
  .command("status")
  .description("show each component of a stack with its readiness and address; fails if one is not ready")
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .action(async (options) => (await import("./status.ts")).status(options));

platform
  .command("destroy")
  .description("delete a stack and its data; what is protected from deletion is refused")
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .action(changing(async (options) => (await import("./destroy.ts")).destroy(options)));

platform
  .command("credentials")
  .description("print a component's user and password, as key=value")
  .argument("<component>", "such as postgresql")
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .option("-f, --field <key>", "print this value alone, for scripts: password")
  .action(async (component, options) => (await import("./credentials.ts")).credentials(component, options));

platform
  .command("render")
  .description("write a stack as plain manifests, one file per object, for kubectl apply -k")
  .addOption(stack())
  .addOption(configFile())
  .requiredOption("-o, --out <directory>", "where to write; an earlier rendering there is replaced")
  .addOption(
    new Option("--secrets <how>", "leave passwords out, or generate them from a seed")
      .choices(["redacted", "seeded"])
      .default("redacted"),
  )
  .option("--seed-file <file>", "the seed; else the environment variable PLATFORM_SEED")
  .action(async (options) => (await import("./render.ts")).render(options));

platform
  .command("diff")
  .description("show what the checkout would change against another revision, as Markdown for a reviewer")
  .requiredOption("-b, --base <ref>", "the other revision: a branch, tag or commit")
  .option("-s, --stack <name...>", "which stacks; without it, all")
  .option("-o, --output <file>", "write the Markdown there, not to standard output")
  .option("--max-length <characters>", "maximum length: leaves out objects' differences, the longest first", characters)
  .action(async (options) => (await import("./diff.ts")).diff(options));

platform
  .command("promote")
  .description(
    "write the versions of the web app that one stack runs, and that pass their checks there, into another's file",
  )
  .requiredOption("--from <stack>", "the stack that runs them, such as test")
  .requiredOption("--to <stack>", "the stack whose file is written, such as prod")
  .addOption(file("--from-file", "a stack file in place of the first one's Pulumi.<name>.yaml"))
  .addOption(file("--to-file", "a stack file in place of the second one's Pulumi.<name>.yaml"))
  .addOption(context())
  .option("-y, --yes", "write without asking", false)
  .action(async (options) => (await import("./promote.ts")).promote(options));

const webApp = platform.command("web-app").description("backups of the web app's Redis");
webApp
  .command("backup")
  .description("copy Redis to MinIO now, as the scheduled backup does")
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .action(async (options) => (await import("./web-app.ts")).backup(options));
webApp
  .command("restore")
  .description("replace all data in Redis by a backup")
  .requiredOption("--from <backup>", "its name, as `backup` prints it")
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .action(async (options) => (await import("./web-app.ts")).restore(options));

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
  .action(changing(async (options) => (await import("./noetl.ts")).deploy(options)));
asked(noetl.command("validate"))
  .description("check what deploy would check, without deploying")
  .action(async (options) => (await import("./noetl.ts")).validate(options));
noetl
  .command("list")
  .description("show the stack's instances")
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .action(async (options) => (await import("./noetl.ts")).list(options));
noetl
  .command("destroy")
  .description("remove an instance from the stack's file and from the cluster; its database stays")
  .addOption(instanceName())
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .action(changing(async (options) => (await import("./noetl.ts")).destroy(options)));

const cluster = platform.command("cluster").description("the local cluster by itself, without a stack");
cluster
  .command("up")
  .description("start it: kind if Docker is running, else embedded; the first start builds it from source")
  .option("--simulated-nodes <n>", "number of simulated nodes, whose pods do not really run; 0 for none", whole)
  .option("--cpu <cpus>", "of each simulated node", "8")
  .option("--memory <size>", "of each simulated node", "16Gi")
  .action(
    changing(async ({ simulatedNodes, cpu, memory }) => {
      const simulated = simulatedNodes === undefined ? undefined : { count: simulatedNodes, cpu, memory };
      await (await import("./cluster.ts")).clusterUp(simulated);
    }),
  );
cluster
  .command("down")
  .description("stop it and undo all that it did to this machine; its data stays for the next start")
  .option("--delete-data", "delete its volumes and everything in them too", false)
  .action(changing(async ({ deleteData }) => (await import("./cluster.ts")).clusterDown(deleteData)));
cluster
  .command("status")
  .description("show whether it runs")
  .action(async () => (await import("./cluster.ts")).clusterStatus());
cluster
  .command("kubeconfig")
  .description("print the path of its kubeconfig: export KUBECONFIG=$(./platform cluster kubeconfig)")
  .action(async () => (await import("./cluster.ts")).clusterKubeconfig());

const app = platform.command("app").description("external Django applications, in a stack on the local cluster");
const name = () => new Option("-n, --name <name>", "the application's name in the stack").makeOptionMandatory();
const described = (command: Command) =>
  command
    .addOption(name())
    .addOption(
      new Option("-v, --version <version>", "a semantic version, which becomes the image's tag").makeOptionMandatory(),
    )
    .addOption(
      new Option(
        "-p, --path <directory>",
        "its source, with manage.py in it or below; patches/ in it is applied to a copy",
      )
        .argParser((path: string) => resolve(path))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--dockerfile <file>", "in place of the Dockerfile in its source").argParser((path: string) =>
        resolve(path),
      ),
    )
    .addOption(
      new Option("--build-context <directory>", "the build context, if it is a directory above --path").argParser(
        (path: string) => resolve(path),
      ),
    )
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
  new Option("--database <where>", "its database server; default: the stack's, else the platform's PostgreSQL").choices(
    ["postgresql", "cloudnative-pg"],
  );
described(app.command("create"))
  .description("build a Django application's image, and bring the stack up with it")
  .addOption(database())
  .action(changing(async (options) => (await import("./app.ts")).create(options)));
described(app.command("validate"))
  .description("check all that create and update would, without building or deploying")
  .addOption(database())
  .action(async (options) => (await import("./app.ts")).validate(options));
described(app.command("update"))
  .description("deploy another version; the running one serves until the new one is ready")
  .action(changing(async (options) => (await import("./app.ts")).update(options)));
app
  .command("delete")
  .description("remove an application from a stack; its database stays")
  .addOption(name())
  .addOption(stack())
  .addOption(configFile())
  .addOption(context())
  .action(changing(async (options) => (await import("./app.ts")).remove(options)));

platform
  .command("test")
  .description("check types, lint, and run the tests that need no cluster")
  .option("--cluster", "run the tests that need a cluster instead, on one created for them (Linux, root)", false)
  .option(
    "--within <duration>",
    "with --cluster: test files that have not started by then are skipped, by name",
    seconds,
  )
  .option("--all", "with --cluster: also run files that passed before and that no change has affected", false)
  .action(async ({ cluster, within, all }) => {
    if (cluster) await (await import("./test-cluster.ts")).testCluster({ within, all });
    else await (await import("./test.ts")).test();
  });

/** An action that changes something on this machine or in a cluster: one at a time. */
// biome-ignore lint/suspicious/noExplicitAny: commander hands over whatever options the command has
function changing(action: (options: any) => Promise<void>) {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  return async (options: any) => {
    handleSignals(asTyped);
    const release = await lock(asTyped);
    await action(options).finally(release);
  };
}

function seconds(text: string): number {
  const [, count, unit = "s"] = /^(\d+)([smh])?$/.exec(text) ?? [];
  if (!Number(count)) throw new InvalidArgumentError("Expected a time such as 90s, 10m or 1h.");
  return Number(count) * { s: 1, m: 60, h: 3600 }[unit as "s" | "m" | "h"];
}

function whole(text: string): number {
  if (!/^(0|[1-9]\d{0,3})$/.test(text)) throw new InvalidArgumentError("Expected a whole number from 0.");
  return Number(text);
}

function reference(text: string, before: object[] = []): object[] {
  const [, kind, name] = /^(secret|configmap)\/(.+)$/.exec(text) ?? [];
  if (!name) throw new InvalidArgumentError("Expected secret/<name> or configmap/<name>.");
  return [...before, kind === "secret" ? { secretRef: { name } } : { configMapRef: { name } }];
}

function characters(text: string): number {
  if (!/^[1-9]\d{2,8}$/.test(text)) throw new InvalidArgumentError("Expected a number of characters from 100.");
  return Number(text);
}
