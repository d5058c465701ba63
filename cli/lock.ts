import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { stateDir } from "../config/paths.ts";
import { UserError } from "../local/step.ts";

/** What a running command says of itself to others. */
interface Holder {
  pid: number;
  command: string;
  since: string;
  /** Whether it has the lock, or is still looking whether someone else does. */
  held: boolean;
}

/**
 * One command at a time that changes things on this machine.
 *
 * Each contender listens on a socket of its own and then asks the others, so nothing has to be cleaned up after one
 * that was killed: its socket no longer answers. Sockets are never taken over, only dead ones removed, and that is
 * why two that start at the same moment cannot both win: each sees the other, and the one with the lower name stays.
 */
export async function lock(command: string, directory = join(stateDir(), "lock")): Promise<() => void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const me: Holder = { pid: process.pid, command, since: new Date().toISOString(), held: false };
  // Short: the path of a socket may not be longer than some hundred characters.
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

/** Throws when the other one has the lock or comes first; waits while it, coming later, has not seen us yet. */
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
  // Holding the lock keeps nobody from ending.
  server.unref();
  return server;
}

/** What the process behind a socket says; undefined when there is none any more. */
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
