import { Command, InvalidArgumentError, Option } from "commander";
import { djangoCommands } from "../apps/commands/django/commands.ts";
import { noetlCommands } from "../apps/commands/noetl/commands.ts";
import { promoteCommand, webAppCommands } from "../apps/commands/web-app/commands.ts";
import { changing, configFile, context, lasting, stack } from "./options.ts";

/*
 * The commands and their help; those of an application are in apps/commands/. A command's code is loaded when it runs:
 * the SDK and the Kubernetes client take a second or two, for which `--help` and a misspelt option should not wait.
 */

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
  .command("secrets")
  .description("write a stack's Secrets alone, for a Helm chart or Argo CD that are to find them in the cluster")
  .addOption(stack())
  .addOption(configFile())
  .requiredOption("-o, --out <directory>", "where to write; an earlier rendering there is replaced")
  .addOption(
    new Option("--as <what>", "with generated passwords, or as what External Secrets reads from a store")
      .choices(["secrets", "external-secrets"])
      .default("secrets"),
  )
  .option("--store <name>", "for external-secrets: the ClusterSecretStore")
  .option(
    "--seed-file <file>",
    "a seed that passwords follow from, for the same ones at each run; without it, random ones",
  )
  .action(async (options) => (await import("./secrets.ts")).secrets(options));

platform
  .command("chart")
  .description("write the Helm chart of the platform, with the values of each stack")
  .option("-o, --out <directory>", "where to write; an earlier chart there is replaced", "charts/data-platform")
  .action(async (options) => (await import("./chart.ts")).chart(options));

platform
  .command("diff")
  .description("show what the checkout would change against another revision, as Markdown for a reviewer")
  .requiredOption("-b, --base <ref>", "the other revision: a branch, tag or commit")
  .option("-s, --stack <name...>", "which stacks; without it, all")
  .option("-o, --output <file>", "write the Markdown there, not to standard output")
  .option("--max-length <characters>", "maximum length: leaves out objects' differences, the longest first", characters)
  .action(async (options) => (await import("./diff.ts")).diff(options));

const images = platform
  .command("images")
  .description("the images of a stack: where they are configured, their digests, a mirror");
images
  .command("list")
  .description("print every image of a stack with the keys that it is from")
  .addOption(stack())
  .addOption(configFile())
  .addOption(
    new Option("--format <how>", "a table, or JSON with the objects that use each image")
      .choices(["table", "json"])
      .default("table"),
  )
  .action(async (options) => (await import("./images.ts")).list(options));
images
  .command("pin")
  .description("write the digest of each image into the stack's file; those that cannot be resolved are named")
  .addOption(stack())
  .addOption(configFile())
  .action(changing(async (options) => (await import("./images.ts")).pin(options)));
images
  .command("mirror")
  .description("copy every image of a stack to a registry; run it again to copy what is missing")
  .addOption(stack())
  .addOption(configFile())
  .option("--to <prefix>", "such as registry.example.com/mirror; without it, the stack's global.imageRegistry")
  .action(lasting(async (options) => (await import("./images.ts")).mirror(options)));

images
  .command("build-commands")
  .description("print how to build and push the images that no registry has; a local cluster builds them itself")
  .addOption(stack())
  .addOption(configFile())
  .action(async (options) => (await import("./build-commands.ts")).buildCommands(options));

promoteCommand(platform);
webAppCommands(platform);
noetlCommands(platform);

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

djangoCommands(platform);

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

function seconds(text: string): number {
  const [, count, unit = "s"] = /^(\d+)([smh])?$/.exec(text) ?? [];
  if (!Number(count)) throw new InvalidArgumentError("Expected a time such as 90s, 10m or 1h.");
  return Number(count) * { s: 1, m: 60, h: 3600 }[unit as "s" | "m" | "h"];
}

function whole(text: string): number {
  if (!/^(0|[1-9]\d{0,3})$/.test(text)) throw new InvalidArgumentError("Expected a whole number from 0.");
  return Number(text);
}

function characters(text: string): number {
  if (!/^[1-9]\d{2,8}$/.test(text)) throw new InvalidArgumentError("Expected a number of characters from 100.");
  return Number(text);
}
