import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { stateDir } from "../config/paths.ts";
import { UserError } from "../local/step.ts";

/** What a running command reports to others. */
interface Holder {
  pid: number;
  command: string;
  since: string;
  /** Whether it has the lock. False while it looks for another holder. */
  held: boolean;
}

/**
 * Lets one command at a time change things on this machine. Returns a function that releases the lock.
 *
 * Each process listens on its own Unix socket and then asks the others. A killed process needs no cleanup: its socket
 * no longer answers and is removed. Sockets are never taken over, so two processes that start at the same moment find
 * each other, and the one with the lower name gets the lock.
 */
export async function lock(command: string, directory = join(stateDir(), "lock")): Promise<() => void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const me: Holder = { pid: process.pid, command, since: new Date().toISOString(), held: false };
  // Short: the path of a socket is limited to about 100 characters.
  const name = randomBytes(6).toString("hex");
  const server = await listen(join(directory, name), me);
  const release = () => {
    server.close();
    rmSync(join(directory, name), { force: true });
  };
  try {
    for (const other of readdirSync(directory).filter((entry) => entry !== name))
      await yieldTo(join(directory, other), name < other);
  } catch (error) {
    release();
    throw error;
  }
  me.held = true;
  process.once("exit", release);
  return () => {
    process.off("exit", release);
    release();
  };
}

/** Throws if the other process has the lock or the lower name; otherwise waits until it has given up. */
async function yieldTo(path: string, first: boolean): Promise<void> {
  for (;;) {
    const other = await ask(path);
    if (!other) return rmSync(path, { force: true });
    if (other.held || !first) throw new UserError(running(other));
    await pause(20);
  }
}

const running = ({ pid, command, since }: Holder) =>
  `another command is running: \`${command}\`, process ${pid}, since ${since.replace("T", " ").replace(/\..*/, " UTC")}; ` +
  "wait until it has ended, or stop it";

async function listen(path: string, me: Holder): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(JSON.stringify(me));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  // An open server would keep the process from exiting.
  server.unref();
  return server;
}

/** The answer of the process behind a socket; undefined if it has ended. */
async function ask(path: string): Promise<Holder | undefined> {
  const socket = connect(path);
  try {
    return JSON.parse(await text(socket)) as Holder;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}
