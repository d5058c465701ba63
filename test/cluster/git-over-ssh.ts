import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import ssh2 from "ssh2";

const { Server, utils } = ssh2;
type Key = { public: string; private: string };

/** An SSH server for tests that serves git repositories of a folder, to the owner of one key. */
export class GitOverSsh {
  private readonly host: Key = utils.generateKeyPairSync("ed25519");
  private readonly client: Key = utils.generateKeyPairSync("ed25519");
  private readonly server: ssh2.Server;
  private address = "";

  private constructor(folder: string) {
    this.server = new Server({ hostKeys: [this.host.private] }, (connection) => this.serve(connection, folder));
  }

  /** `folder` has each repository, `<name>.git`. */
  static async start(folder: string, host = "127.0.0.1"): Promise<GitOverSsh> {
    const git = new GitOverSsh(folder);
    git.server.listen(0, host);
    await once(git.server, "listening");
    git.address = `${host}:${(git.server.address() as AddressInfo).port}`;
    return git;
  }

  stop(): void {
    this.server.close();
  }

  url(name: string): string {
    return `ssh://git@${this.address}/${name}.git`;
  }

  /** The client's key, as ssh reads it. */
  get privateKey(): string {
    return this.client.private;
  }

  /** The server's key, as `ssh-keyscan` prints it. */
  get knownHosts(): string {
    const [host, port] = this.address.split(":");
    return `[${host}]:${port} ${this.host.public}\n`;
  }

  private serve(connection: ssh2.Connection, folder: string): void {
    const allowed = utils.parseKey(this.client.public);
    if (allowed instanceof Error) throw allowed;
    // A client that is refused closes the connection.
    connection.on("error", () => {});
    connection.on("authentication", (context) => {
      const isKnown =
        context.method === "publickey" &&
        context.key.data.equals(allowed.getPublicSSH()) &&
        // Without a signature the client only asks whether the key would do.
        (!context.signature ||
          allowed.verify(context.blob ?? Buffer.alloc(0), context.signature, context.hashAlgo) === true);
      if (isKnown) context.accept();
      else context.reject(["publickey"]);
    });
    connection.on("session", (accept) => {
      accept().on("exec", (accept, _reject, { command }) => upload(accept(), command, folder));
    });
  }
}

/** Answers a client's `git fetch`. */
function upload(channel: ssh2.ServerChannel, command: string, folder: string): void {
  const [, repository] = /^git-upload-pack '\/([\w/-]+\.git)'$/.exec(command) ?? [];
  const end = (code: number) => {
    channel.exit(code);
    channel.end();
  };
  if (!repository) {
    end(1);
    return;
  }
  const git = spawn("git", ["upload-pack", join(folder, repository)]);
  channel.pipe(git.stdin);
  git.stdout.pipe(channel, { end: false });
  git.stderr.pipe(channel.stderr, { end: false });
  git.on("close", (code) => end(code ?? 1));
}
