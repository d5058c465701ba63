import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { run } from "./run.ts";
import type { RepositorySettings } from "./settings.ts";

/** A checked-out commit. */
export interface Checkout {
  commit: string;
  /** Changes when something that is declared does: the manifests, their overlay, or how they are to be read. */
  digest: string;
}

/** Seconds that one command may take. */
const within = { lsRemote: 20, clone: 120 };

/** The git commands that deployd needs, of a repository that may be slow, away or private. */
export class Git {
  private readonly tokens: string;

  /** `tokens` is the folder with a file for each token. */
  constructor(tokens: string) {
    this.tokens = tokens;
  }

  /** The newest commit of the branch. */
  async head(of: RepositorySettings, signal: AbortSignal): Promise<string> {
    const args = ["ls-remote", of.url, `refs/heads/${of.branch}`];
    const found = await about("git ls-remote", this.run(args, of, within.lsRemote, signal));
    const [commit] = found.split(/\s/);
    if (!commit) throw new Error(`${of.url} has no branch ${of.branch}`);
    return commit;
  }

  /** The newest commit in a folder that is not there yet. */
  async checkout(of: RepositorySettings, folder: string, signal: AbortSignal): Promise<Checkout> {
    const args = [
      // A link could lead to the service's own files; as a plain file it leads nowhere.
      ...["-c", "core.symlinks=false", "clone", "--quiet", "--depth", "1", "--no-tags", "--single-branch"],
      ...["--branch", of.branch, of.url, folder],
    ];
    await about("git clone", this.run(args, of, within.clone, signal));
    const tree = (path: string) => this.run(["-C", folder, "rev-parse", "--quiet", "--verify", path], of, 10, signal);
    const commit = await tree("HEAD");
    const manifests = await tree(`HEAD:${of.path === "." ? "" : of.path}`).catch(() => {
      throw new Error(`${of.path} is not in commit ${commit.slice(0, 10)} of ${of.branch}`);
    });
    const overlay = of.environment && (await tree(`HEAD:${overlayOf(of)}`).catch(() => ""));
    const declared = JSON.stringify([of.path, of.environment, manifests, overlay]);
    return { commit, digest: createHash("sha256").update(declared).digest("hex").slice(0, 16) };
  }

  private async run(args: string[], of: RepositorySettings, seconds: number, signal: AbortSignal): Promise<string> {
    const env = { ...quiet, ...(await this.login(of)) };
    return (await run("git", args, { seconds, signal, env })).trim();
  }

  /** The token reaches git by its environment: as an argument or a part of the URL it would stand in errors. */
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

/** Where the overlay of the environment is: beside the manifests, `deploy/overlays/<environment>`. */
export const overlayOf = ({ path, environment }: RepositorySettings): string =>
  join(dirname(path), "overlays", environment ?? "");

const quiet = {
  GIT_TERMINAL_PROMPT: "0",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_ALLOW_PROTOCOL: "http:https",
  // A server that says nothing more; the limit of the whole command comes later.
  GIT_HTTP_LOW_SPEED_LIMIT: "1",
  GIT_HTTP_LOW_SPEED_TIME: "15",
};

/** Says what failed. */
const about = <T>(what: string, work: Promise<T>): Promise<T> =>
  work.catch(({ message }: Error) => {
    throw new Error(`${what}: ${message}`);
  });
