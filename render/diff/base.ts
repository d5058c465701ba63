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
 * The seed of passwords on both sides. It is no secret: no real password comes from it. Unlike a placeholder, a seeded
 * password changes when it would be rotated.
 */
export const seed = "for comparing two revisions, nothing else";

/** Another revision of this repository, in a temporary directory that is removed when the process exits. */
export class BaseRevision {
  private readonly ref: string;
  private readonly root: string;
  private readonly directory = mkdtempSync(join(tmpdir(), "platform-diff-"));
  private readonly tree = join(this.directory, "tree");
  /** The process group of its `render`, which must end before the directory is removed. */
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
      // Without git hooks: this worktree is only read.
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
    this.redactEncryptedValues(stack, at);
    const command = join(this.tree, "platform");
    if (!existsSync(command)) throw new ConfigError(`${at}: there is no ./platform to render a stack with`);
    const out = join(this.directory, stack);
    const args = ["render", "--stack", stack, "--out", out, "--secrets", "seeded"];
    const child = execa(command, args, {
      cwd: this.tree,
      env: { PLATFORM_SEED: seed },
      reject: false,
      stdin: "ignore",
      // Its own process group, so that all of it can be stopped, npm's installation included.
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

  /** Synchronous: it also runs in an exit handler. */
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
   * Links the modules of this checkout if the lock files are equal; otherwise the revision's own `./platform` installs
   * them. One link per module: removing a directory of links keeps their targets.
   */
  private shareModules(): void {
    const lockOf = (directory: string) => join(directory, "package-lock.json");
    const theirs = lockOf(this.tree);
    if (!existsSync(theirs) || !readFileSync(theirs).equals(readFileSync(lockOf(this.root)))) return;
    const modules = join(this.tree, "node_modules");
    mkdirSync(modules);
    for (const entry of readdirSync(join(this.root, "node_modules")))
      symlinkSync(join(this.root, "node_modules", entry), join(modules, entry));
  }

  /**
   * Replaces encrypted values by placeholders: only a Pulumi engine with the key can read them, and the comparison does
   * not need them.
   */
  private redactEncryptedValues(stack: string, at: string): void {
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

/** The error: the last line of the output. */
const reason = (lines: string[]) => lines.filter((line) => line.trim()).at(-1) ?? "no output";
