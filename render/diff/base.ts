import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import { parse, stringify } from "yaml";
import type { Say } from "../../local/step.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { ConfigError, readStack, redactEncrypted } from "../stack.ts";

/**
 * What passwords are made from on both sides. Nothing real is, so it is no secret; and unlike a redacted password,
 * one made from a seed is another one when it would be rotated.
 */
export const seed = "for comparing two revisions, nothing else";

/** Another revision of this repository, in a directory of its own that is gone when the process is. */
export class BaseRevision {
  private readonly ref: string;
  private readonly root: string;
  private readonly directory = mkdtempSync(join(tmpdir(), "platform-diff-"));
  private readonly tree = join(this.directory, "tree");
  /** The process group of what runs there, which must end before its directory does. */
  private running?: number;
  private readonly onExit = () => this.remove();

  private constructor(root: string, ref: string) {
    this.root = root;
    this.ref = ref;
    process.once("exit", this.onExit);
  }

  static async checkOut(root: string, ref: string): Promise<BaseRevision> {
    const commit = await commitOf(root, ref);
    const base = new BaseRevision(root, ref);
    try {
      // Hooks are for those who work in a checkout; this one is only read.
      await git(root, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--quiet", base.tree, commit);
      base.shareModules();
      return base;
    } catch (error) {
      base.remove();
      throw error;
    }
  }

  /** The objects of a stack, as the revision's own code renders them with its own dependencies. */
  async render(stack: string, say: Say): Promise<KubernetesObject[]> {
    const at = `at ${this.ref}`;
    this.standInForEncrypted(stack, at);
    const command = join(this.tree, "platform");
    if (!existsSync(command)) throw new ConfigError(`${at}: there is no ./platform to render a stack with`);
    const out = join(this.directory, stack);
    const args = ["render", "--stack", stack, "--out", out, "--secrets", "seeded"];
    const child = execa(command, args, {
      cwd: this.tree,
      env: { PLATFORM_SEED: seed },
      reject: false,
      stdin: "ignore",
      // A group of its own, so that all of it can be ended: npm too, where it installs.
      detached: true,
    });
    this.running = child.pid;
    const complaints: string[] = [];
    for await (const line of child.iterable({ from: "stderr" })) {
      complaints.push(line);
      if (line.trim()) say(`${at}: ${line}`);
    }
    const { exitCode } = await child;
    this.running = undefined;
    if (exitCode !== 0)
      throw new ConfigError(`${at}: \`./platform render --stack ${stack}\` fails: ${reason(complaints)}`);
    return readdirSync(out)
      .filter((file) => file !== "kustomization.yaml")
      .map((file) => parse(readFileSync(join(out, file), "utf8")) as KubernetesObject);
  }

  /** Without waiting for anything, since a process that ends cannot. */
  remove(): void {
    process.off("exit", this.onExit);
    try {
      if (this.running) process.kill(-this.running, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
    execaSync("git", ["worktree", "prune"], { cwd: this.root, reject: false });
  }

  /**
   * Lends it the modules of this checkout where its lock file is the same; otherwise its own `./platform` installs
   * what it needs. Link by link: whoever clears a directory of links leaves what they lead to alone.
   */
  private shareModules(): void {
    const [theirs, ours] = [this.tree, this.root].map((directory) => join(directory, "package-lock.json"));
    if (!existsSync(theirs!) || !readFileSync(theirs!).equals(readFileSync(ours!))) return;
    const modules = join(this.tree, "node_modules");
    mkdirSync(modules);
    for (const entry of readdirSync(join(this.root, "node_modules")))
      symlinkSync(join(this.root, "node_modules", entry), join(modules, entry));
  }

  /** Nothing but a Pulumi engine with its key can read encrypted values, and none are needed to compare. */
  private standInForEncrypted(stack: string, at: string): void {
    let file: ReturnType<typeof readStack>;
    try {
      file = readStack(this.tree, stack);
    } catch (error) {
      throw error instanceof ConfigError ? new ConfigError(`${at}: ${error.message}`) : error;
    }
    if (file.encrypted.length > 0)
      writeFileSync(join(this.tree, `Pulumi.${stack}.yaml`), stringify({ config: redactEncrypted(file).config }));
  }
}

async function commitOf(root: string, ref: string): Promise<string> {
  const query = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`];
  const found = await execa("git", query, { cwd: root, reject: false });
  if (found.exitCode === 0) return found.stdout;
  if (found.stderr) throw new ConfigError(`--base: ${found.stderr.replace(/^fatal: /, "").split("\n")[0]}`);
  const shallow = (await git(root, "rev-parse", "--is-shallow-repository")).stdout === "true";
  throw new ConfigError(
    `--base: found ${ref}; expected a branch, tag or commit of this repository` +
      (shallow ? ", of which this clone has only the newest: `git fetch --unshallow`" : ""),
  );
}

const git = (cwd: string, ...args: string[]) => execa("git", args, { cwd });

/** The line that says it, of all that was said. */
const reason = (lines: string[]) => lines.filter((line) => line.trim()).at(-1) ?? "without a word";
