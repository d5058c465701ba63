/*
 * Costs as ratios, which are comparable between machines.
 * `npm run bench [rounds]`: time and memory of the program. Whole processes are measured in alternating pairs, so that
 * other load on the machine slows both.
 * `npm run bench closing`: what closing the stack `test` costs, on the embedded cluster. See bench-closing.ts.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { execa } from "execa";
import { parse, stringify } from "yaml";
import { table } from "../cli/show.ts";
import { UserError } from "../local/step.ts";
import { totals } from "../policy/rules/whole.ts";
import { cores, gibibytes } from "../render/diff/markdown.ts";
import { budgets } from "./budgets.ts";
import { evaluated, stacks } from "./program/stacks.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const scratch = mkdtempSync(join(tmpdir(), "platform-bench-"));
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

/** A process to measure. */
interface Process {
  file: string;
  args: string[];
  cwd?: string;
  env?: Record<string, string>;
}

interface Cost {
  seconds: number;
  /** Peak memory of its Node processes, in MiB. */
  memory: number;
}

// Each Node process of the command records its peak at its end, whichever process started it.
const peaks = join(scratch, "peaks");
const noting = join(scratch, "noting.mjs");
writeFileSync(
  noting,
  `import { appendFileSync } from "node:fs";
process.on("exit", () => appendFileSync(${JSON.stringify(peaks)}, process.resourceUsage().maxRSS + "\\n"));`,
);

async function cost({ file, args, cwd = root, env }: Process): Promise<Cost> {
  writeFileSync(peaks, "");
  const start = performance.now();
  await execa(file, args, { cwd, stdin: "ignore", env: { ...env, NODE_OPTIONS: `--import file://${noting}` } });
  const seconds = (performance.now() - start) / 1000;
  const memory = Math.max(...readFileSync(peaks, "utf8").trim().split("\n").map(Number)) / 1024;
  return { seconds, memory };
}

const median = (values: number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** A row: time and memory of `one` relative to `other`. */
async function compare(rounds: number, title: string, one: Process, other: Process): Promise<string[]> {
  console.error(`measuring ${title}, ${rounds} times`);
  // Once, to fill the caches of compiled sources and of the file system.
  await cost(one);
  await cost(other);
  const pairs: { one: Cost; other: Cost }[] = [];
  for (let round = 0; round < rounds; round++) pairs.push({ one: await cost(one), other: await cost(other) });
  const of = (which: "one" | "other", what: keyof Cost) => median(pairs.map((pair) => pair[which][what]));
  const ratio = (what: keyof Cost) => median(pairs.map((pair) => pair.one[what] / pair.other[what])).toFixed(2);
  const seconds = (which: "one" | "other") => `${of(which, "seconds").toFixed(2)} s`;
  const memory = (which: "one" | "other") => `${of(which, "memory").toFixed(0)} MiB`;
  return [title, ratio("seconds"), seconds("one"), seconds("other"), ratio("memory"), memory("one"), memory("other")];
}

const head = (against: string) => ["", "× time", "itself", against, "× memory", "itself", against];
const node = (...args: string[]): Process => ({ file: process.execPath, args: ["--import", "tsx", ...args] });

async function renders(rounds: number): Promise<string> {
  const sdk = ["@pulumi/pulumi", "@pulumi/kubernetes", "@pulumi/random"].map((name) => `import "${name}";`);
  const loading = node("--input-type=module", "--eval", sdk.join(""));
  const rows: string[][] = [];
  for (const stack of stacks) {
    const render = node("cli/main.ts", "render", "--stack", stack, "--out", join(scratch, "rendered", stack));
    rows.push(await compare(rounds, `render ${stack}`, render, loading));
  }
  return table(head("Node with the SDK"), rows);
}

/** Projects with a separate backend, so that no real state is changed. */
async function previews(rounds: number): Promise<string> {
  const env = {
    PULUMI_BACKEND_URL: `file://${scratch}`,
    PULUMI_CONFIG_PASSPHRASE: "nothing secret is kept",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // Without its plugins pulumi fails here, instead of downloading them during a measurement.
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
  };
  const pulumi = (cwd: string, ...args: string[]): Process => ({
    file: "pulumi",
    args: [...args, "--non-interactive", "--color", "never"],
    cwd,
    env,
  });
  const project = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8"));
  const prepare = async (name: string, main: string, stack: string, config: object) => {
    const cwd = join(scratch, name, stack);
    mkdirSync(cwd, { recursive: true });
    writeFileSync(join(cwd, "Pulumi.yaml"), stringify({ ...project, name, main }));
    writeFileSync(join(cwd, `Pulumi.${stack}.yaml`), stringify(config));
    await cost(pulumi(cwd, "stack", "init", stack));
    return pulumi(cwd, "preview", "--stack", stack);
  };
  try {
    // The same loader and SDK, without resources.
    writeFileSync(join(scratch, "empty.ts"), 'import "@pulumi/pulumi";\nexport default () => ({});\n');
    writeFileSync(join(scratch, "package.json"), '{ "type": "module" }');
    symlinkSync(join(root, "node_modules"), join(scratch, "node_modules"));
    const empty = await prepare("empty", join(scratch, "empty.ts"), "empty", {});
    const rows: string[][] = [];
    for (const stack of stacks) {
      const { config = {} } = parse(readFileSync(join(root, `Pulumi.${stack}.yaml`), "utf8"));
      // A preview of new objects does not call the cluster, but prod requires a context.
      if (stack === "prod") config["kubernetes:context"] ??= "none";
      const preview = await prepare(project.name, join(root, project.main), stack, { config });
      rows.push(await compare(rounds, `preview ${stack}`, preview, empty));
    }
    return table(head("an empty program"), rows);
  } catch (error) {
    const { code, stdout = "", stderr = "", shortMessage = String(error) } = error as Record<string, string>;
    const said = `${stdout}\n${stderr}`.split("\n").filter((line) => /\berror\b/.test(line));
    const why = code === "ENOENT" ? "there is no pulumi on PATH" : (said[0]?.trim() ?? shortMessage);
    return `preview: did not run: ${why}`;
  }
}

async function requests(): Promise<string> {
  const rows: string[][] = [];
  for (const stack of stacks) {
    const [asked, allowed] = [totals((await evaluated(stack)).objects), budgets[stack]];
    const share = (key: keyof typeof asked, show: (value: number) => string) =>
      `${show(asked[key])} of ${show(allowed[key])}, ${Math.round((100 * asked[key]) / allowed[key])} %`;
    rows.push([`requests of ${stack}`, share("cpu", cores), share("memory", gibibytes), share("storage", gibibytes)]);
  }
  return table(["", "CPU", "memory", "disk"], rows);
}

function wholeRounds(given: string): number {
  const rounds = Number(given);
  if (!Number.isInteger(rounds) || rounds < 1) throw new InvalidArgumentError("Expected how many rounds, such as 5.");
  return rounds;
}

const bench = new Command("npm run bench --").description(
  "measure costs as ratios, which are comparable between machines",
);
bench
  .command("program", { isDefault: true })
  .description("time and memory of render and preview, and the requests of each stack")
  .argument("[rounds]", "how often each is measured", wholeRounds, 5)
  .action(async (rounds: number) => {
    console.log(`${await requests()}\n`);
    console.log(`${await renders(rounds)}\n`);
    console.log(await previews(rounds));
  });
bench
  .command("closing")
  .description(
    "on the embedded cluster, without other stacks: start, CPU and memory of the stack test with network policies, " +
      "front door and separate users, against the same without; about 15 minutes, best after an earlier up of it",
  )
  .action(async () => console.log(await (await import("./bench-closing.ts")).benchClosing()));

await bench.parseAsync().catch((error) => {
  if (!(error instanceof UserError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
