import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";

/** A git server for tests, of real repositories over HTTP: git's own CGI program behind a small web server. */
export class GitServer {
  /** Names of repositories that are never answered. */
  readonly hanging = new Set<string>();
  /** What has to be sent for a private repository: name → token. */
  readonly tokens = new Map<string, string>();
  /** Whether it leaves out large files where a client asks for that. */
  filters = true;
  /** Has each repository, `<name>.git`. */
  readonly folder = mkdtempSync(join(tmpdir(), "git-server-"));
  private readonly server: Server;
  private host = "";

  private constructor() {
    this.server = createServer((request, response) => this.answer(request, response));
  }

  static async start(host = "127.0.0.1"): Promise<GitServer> {
    const git = new GitServer();
    git.server.listen(0, host);
    await once(git.server, "listening");
    git.host = `${host}:${(git.server.address() as AddressInfo).port}`;
    return git;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
    rmSync(this.folder, { recursive: true });
  }

  url(name: string): string {
    return `http://${this.host}/${name}.git`;
  }

  /**
   * A commit of these files on the branch main: `null` removes one, `{ link }` is a symbolic link. Returns its id.
   * Submodules are of no repository that there is.
   */
  async commit(
    name: string,
    files: Record<string, string | Buffer | null | { link: string }>,
    submodules: string[] = [],
  ): Promise<string> {
    const work = join(this.folder, "work", name);
    const git = async (...args: string[]) => (await execa("git", ["-C", work, ...args], { env: identity })).stdout;
    const repository = join(this.folder, `${name}.git`);
    for (const one of [work, dirname(repository)]) mkdirSync(one, { recursive: true });
    await execa("git", ["init", "--quiet", "--initial-branch", "main", "--separate-git-dir", repository, work]);
    for (const [path, contents] of Object.entries(files)) {
      const file = join(work, path);
      rmSync(file, { force: true });
      mkdirSync(dirname(file), { recursive: true });
      if (typeof contents === "string" || Buffer.isBuffer(contents)) writeFileSync(file, contents);
      else if (contents) symlinkSync(contents.link, file);
    }
    await git("add", "--all");
    for (const path of submodules)
      await git("update-index", "--add", "--cacheinfo", `160000,${"1".repeat(40)},${path}`);
    await git("commit", "--quiet", "--allow-empty", "--message", "a change");
    return git("rev-parse", "HEAD");
  }

  /** Another branch, of the newest commit. */
  async branch(name: string, branch: string): Promise<void> {
    await execa("git", ["--git-dir", join(this.folder, `${name}.git`), "branch", "--", branch]);
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, search } = new URL(request.url!, "http://git");
    const name = /^\/(.*)\.git\//.exec(pathname)?.[1] ?? "";
    if (this.hanging.has(name)) return;
    const token = this.tokens.get(name);
    const sent = Buffer.from(request.headers.authorization?.replace("Basic ", "") ?? "", "base64").toString();
    if (token && sent.split(":")[1] !== token) {
      response.writeHead(401, { "www-authenticate": "Basic" }).end();
      return;
    }
    const cgi = spawn("git", ["http-backend"], {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: this.folder,
        GIT_HTTP_EXPORT_ALL: "1",
        GIT_CONFIG_COUNT: "2",
        GIT_CONFIG_KEY_0: "safe.directory",
        GIT_CONFIG_VALUE_0: "*",
        // As GitHub, GitLab, Gitea and Forgejo have it.
        GIT_CONFIG_KEY_1: "uploadpack.allowFilter",
        GIT_CONFIG_VALUE_1: String(this.filters),
        PATH_INFO: pathname,
        QUERY_STRING: search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers["content-type"] ?? "",
        HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
        GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
      },
    });
    request.pipe(cgi.stdin);
    const chunks: Buffer[] = [];
    cgi.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    cgi.on("close", () => {
      const output = Buffer.concat(chunks);
      const end = output.indexOf("\r\n\r\n");
      const headers = output.subarray(0, end).toString().split("\r\n");
      const fields = headers.map((line) => line.split(": ") as [string, string]);
      const status = fields.find(([field]) => field === "Status")?.[1];
      response.writeHead(status ? Number.parseInt(status, 10) : 200, Object.fromEntries(fields));
      response.end(output.subarray(end + 4));
    });
  }
}

const identity = {
  GIT_AUTHOR_NAME: "test",
  GIT_AUTHOR_EMAIL: "test@example.com",
  GIT_COMMITTER_NAME: "test",
  GIT_COMMITTER_EMAIL: "test@example.com",
};
