import { createHash } from "node:crypto";
import { mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { run, type Share } from "./run.ts";
import type { RepositorySettings } from "./settings.ts";

/** Files of one commit. A file is in the folder only after it was taken. */
export interface Source {
  folder: string;
  /**
   * Writes a file, or a folder with everything below it, to its path in the folder. Returns which of the two it is;
   * undefined if the commit has neither. Throws for links, submodules, Git LFS, and what exceeds the limits.
   */
  take(path: string): Promise<"file" | "folder" | undefined>;
}

/** A commit that was fetched. */
export interface Checkout extends Source {
  commit: string;
  /** Changes with what is declared: the manifests, their overlay, or the settings for reading them. */
  digest: string;
}

/** Seconds until a command is killed. */
const within = { lsRemote: 20, clone: 120, local: 20 };

/**
 * Limits of one repository. An object in Kubernetes has at most 1.5 MiB (etcd's limit of a request), and a chart with its
 * dependencies some hundred files. Only the newest commit is fetched, without its large files.
 */
export const limits = {
  /** Files to read, the size of each and of all. */
  files: 5000,
  fileMiB: 2,
  totalMiB: 32,
  /** Files and folders that are taken one by one: each is a call of git. */
  paths: 200,
  /** git's memory, and the size of what it fetches. */
  memoryMiB: 64,
  fetchedMiB: 256,
};

/** The git commands that deployd needs. A repository may be slow, unreachable or private. */
export class Git {
  private readonly tokens: string;
  private readonly limits: typeof limits;
  private readonly share: Share;

  /** `tokens` is the folder with a file for each token. */
  constructor(tokens: string, bounds = limits) {
    this.tokens = tokens;
    this.limits = bounds;
    this.share = { memory: bounds.memoryMiB, file: bounds.fetchedMiB, output: 2 };
  }

  /** The newest commit of the branch. */
  async head(of: RepositorySettings, signal: AbortSignal): Promise<string> {
    const args = ["ls-remote", of.url, `refs/heads/${of.branch}`];
    const found = await about("git ls-remote", this.run(args, of, within.lsRemote, signal));
    const [commit] = found.split(/\s/);
    if (!commit) throw new Error(`${of.url} has no branch ${of.branch}`);
    return commit;
  }

  /** Fetches the newest commit into a new folder, which has git's files and those that are taken. */
  async checkout(of: RepositorySettings, folder: string, signal: AbortSignal): Promise<Checkout> {
    const repository = join(folder, "git");
    const files = join(folder, "files");
    await mkdir(files, { recursive: true });
    const args = [
      ...["clone", "--quiet", "--bare", "--depth", "1", "--no-tags", "--single-branch"],
      // A server without support for filters sends large files too.
      ...[`--filter=blob:limit=${this.limits.fileMiB * MiB + 1}`, "--branch", of.branch, of.url, repository],
    ];
    await about("git clone", this.run(args, of, within.clone, signal));
    const { share } = this;
    const local: Local = (args, input) =>
      git([`--git-dir=${repository}`, `--work-tree=${files}`, ...args], {
        seconds: within.local,
        signal,
        share,
        cwd: files,
        input,
      });
    // git must not fetch the large files that were left out.
    await local(["config", "--remove-section", "remote.origin"]);
    await local(["config", "--unset-all", "extensions.partialClone"]).catch(() => "");

    const id = (object: string) => local(["rev-parse", "--quiet", "--verify", object]);
    const tree = (path: string) => id(path === "." ? "HEAD^{tree}" : `HEAD:${path}`);
    const commit = await id("HEAD");
    const source = new Files(files, local, this.limits);
    const manifests = await tree(of.path).catch(async () => {
      await source.refuseDetour(of.path);
      throw new Error(`${of.path} is not in commit ${commit.slice(0, 10)} of ${of.branch}`);
    });
    const overlay = of.environment && (await tree(overlayOf(of)).catch(() => ""));
    const declared = JSON.stringify([of.path, of.environment, manifests, overlay]);
    const digest = createHash("sha256").update(declared).digest("hex").slice(0, 16);
    return { commit, digest, folder: files, take: (path) => source.take(path) };
  }

  private async run(args: string[], of: RepositorySettings, seconds: number, signal: AbortSignal): Promise<string> {
    return git(args, { seconds, signal, share: this.share, login: await this.login(of) });
  }

  /** git gets the token in its environment: errors would show it as an argument or in the URL. */
  private async login({ token, url }: RepositorySettings): Promise<Record<string, string>> {
    if (!token) return {};
    const value = await readFile(join(this.tokens, token), "utf8").catch(() => {
      throw new Error(`there is no key ${token} in the Secret with tokens`);
    });
    const basic = Buffer.from(`x-access-token:${value.trim()}`).toString("base64");
    return {
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: `http.${new URL(url).origin}/.extraHeader`,
      GIT_CONFIG_VALUE_0: `Authorization: Basic ${basic}`,
    };
  }
}

async function git(
  args: string[],
  options: {
    seconds: number;
    signal: AbortSignal;
    share: Share;
    cwd?: string;
    login?: object;
    input?: string | undefined;
  },
): Promise<string> {
  const { login, ...rest } = options;
  return (await run("git", [...careful, ...args], { ...rest, env: { ...quiet, ...login } })).trim();
}

/** A git command in the fetched repository, without its token. */
type Local = (args: string[], input?: string) => Promise<string>;

/** The files of a fetched commit, and how much of the limits they use. */
class Files implements Source {
  readonly folder: string;
  private readonly git: Local;
  private readonly limits: typeof limits;
  private readonly taken = new Map<string, number>();
  /** Folders that were taken whole. */
  private readonly whole: string[] = [];
  private asked = 0;

  constructor(folder: string, git: Local, bounds: typeof limits) {
    this.folder = folder;
    this.git = git;
    this.limits = bounds;
  }

  async take(path: string): Promise<"file" | "folder" | undefined> {
    const { limits } = this;
    if (this.taken.has(path)) return "file";
    if (this.whole.some((folder) => folder === "." || path === folder || path.startsWith(`${folder}/`)))
      return kindOf(join(this.folder, path));
    if (++this.asked > limits.paths)
      throw new Error(
        `${path}: expected at most ${limits.paths} files and folders that are named outside of ${this.whole[0]}`,
      );
    const entries = await this.list("-r", "-l", "HEAD", "--", ...(path === "." ? [] : [path])).catch(({ message }) => {
      throw new Error(`${path}: ${/printed more/.test(message) ? `expected at most ${limits.files} files` : message}`);
    });
    if (entries.length === 0) {
      await this.refuseDetour(path);
      return undefined;
    }
    const missing = entries.filter((entry) => !this.taken.has(entry.path));
    for (const entry of missing) {
      if (!ignored.test(entry.path)) refuseUnreadable(entry);
      if (entry.size > limits.fileMiB * MiB)
        throw new Error(`${entry.path}: expected a file of at most ${limits.fileMiB} MiB`);
      this.taken.set(entry.path, entry.size);
    }
    const total = [...this.taken.values()].reduce((sum, size) => sum + size, 0);
    if (this.taken.size > limits.files || total > limits.totalMiB * MiB)
      throw new Error(
        `${path}: found ${this.taken.size} files of ${Math.ceil(total / MiB)} MiB to read; ` +
          `expected at most ${limits.files} files of ${limits.totalMiB} MiB`,
      );
    // Only new files: an existing one may have been rewritten since.
    const paths = missing.map((entry) => entry.path).join("\0");
    if (paths) await this.git(["checkout", "--quiet", "HEAD", "--pathspec-from-file=-", "--pathspec-file-nul"], paths);
    for (const entry of missing) await this.refusePointer(entry);
    if (entries.length === 1 && entries[0]?.path === path) return "file";
    this.whole.push(path);
    return "folder";
  }

  /** Throws if a path leads through a link or a submodule. */
  async refuseDetour(path: string): Promise<void> {
    const names = path.split("/");
    const ancestors = names.map((_, index) => names.slice(0, index + 1).join("/"));
    for (const entry of await this.list("-l", "HEAD", "--", ...ancestors)) refuseUnreadable(entry);
  }

  private async list(...args: string[]): Promise<Entry[]> {
    const lines = (await this.git(["ls-tree", "-z", "--full-tree", ...args])).split("\0");
    return lines.flatMap((line) => {
      const [, mode = "", size = "", path = ""] = /^(\d+) \w+ \w+ +(\S+)\t(.*)$/s.exec(line) ?? [];
      // git has no size for a file that was not fetched, nor for a folder or a submodule.
      return path ? [{ mode, path, size: size === "BAD" ? Number.POSITIVE_INFINITY : Number(size) || 0 }] : [];
    });
  }

  private async refusePointer({ path, size }: Entry): Promise<void> {
    if (size < 100 || size > 300 || ignored.test(path)) return;
    if ((await readFile(join(this.folder, path), "utf8")).startsWith("version https://git-lfs.github.com/spec/"))
      throw new Error(`${path} is stored in Git LFS, which deployd does not fetch: commit the file itself`);
  }
}

interface Entry {
  mode: string;
  path: string;
  size: number;
}

const MiB = 1024 * 1024;
async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && (found.isFile() ? "file" : "folder");
}

/** Files next to manifests and in charts that no program reads. */
const ignored = /(^|\/)(LICENSE|NOTICE|[^/]*\.(md|png|jpe?g|gif|svg|webp|ico|pdf))$/i;

function refuseUnreadable({ mode, path }: Entry): void {
  if (mode === "120000")
    throw new Error(`${path} is a symbolic link, which deployd does not follow: commit the file it leads to instead`);
  if (mode === "160000") throw new Error(`${path} is a submodule, which deployd does not fetch: commit its files`);
}

/** The path of the environment's overlay: next to the manifests, `deploy/overlays/<environment>`. */
export const overlayOf = ({ path, environment }: RepositorySettings): string =>
  join(dirname(path), "overlays", environment ?? "");

const quiet = {
  GIT_TERMINAL_PROMPT: "0",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ALLOW_PROTOCOL: "http:https",
  GIT_LITERAL_PATHSPECS: "1",
  // For a server that sends nothing more, sooner than the limit of the whole command.
  GIT_HTTP_LOW_SPEED_LIMIT: "1",
  GIT_HTTP_LOW_SPEED_TIME: "15",
};

const careful = Object.entries({
  // A link could lead to deployd's own files, so git writes it as a plain file.
  "core.symlinks": "false",
  "core.hooksPath": "/dev/null",
  // Limits memory: large files are streamed, and one thread unpacks.
  "core.bigFileThreshold": "1m",
  "core.deltaBaseCacheLimit": "8m",
  "pack.threads": "1",
  // Everything is fetched into one file, so that the limit of one file applies to all of it.
  "fetch.unpackLimit": "1",
}).flatMap(([key, value]) => ["-c", `${key}=${value}`]);

/** Adds the command to an error. */
const about = <T>(what: string, work: Promise<T>): Promise<T> =>
  work.catch(({ message }: Error) => {
    throw new Error(`${what}: ${message}`);
  });
