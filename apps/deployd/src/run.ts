import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ExecaError, execa } from "execa";

/** What programs that read other people's files are given of the environment. */
const plain = {
  PATH: process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin",
  HOME: "/tmp",
  ...(process.env.SSL_CERT_FILE && { SSL_CERT_FILE: process.env.SSL_CERT_FILE }),
};

/** How much of the pod a program may take, in MiB. */
export interface Share {
  /** Memory of each of its processes (RLIMIT_DATA). */
  memory: number;
  /** One file that it writes (RLIMIT_FSIZE). */
  file: number;
  /** What it prints. */
  output: number;
}

/**
 * What a program printed. It is killed after so many seconds, or by the signal, and with it all that it started: git
 * starts another program for the connection, which would wait on for a server that does not answer.
 */
export async function run(
  program: string,
  args: string[],
  options: {
    seconds: number;
    signal: AbortSignal;
    share: Share;
    cwd?: string;
    env?: Record<string, string>;
    input?: string | undefined;
  },
): Promise<string> {
  const { seconds, signal, share, cwd, env, input } = options;
  signal.throwIfAborted();
  // Found here, since the program's own PATH may have nothing on it.
  const path = [program, ...plain.PATH.split(delimiter).map((folder) => join(folder, program))].find(
    (one) => one.startsWith("/") && existsSync(one),
  );
  if (!path) throw new Error("is not installed");
  const kibibytes = share.memory * 1024;
  const blocks = share.file * 2048;
  const child = execa("/bin/sh", ["-c", limited, "sh", `${kibibytes}`, `${blocks}`, path, ...args], {
    ...(cwd && { cwd }),
    env: { ...plain, ...env },
    extendEnv: false,
    ...(input === undefined ? { stdin: "ignore" as const } : { input }),
    maxBuffer: share.output * 1024 * 1024,
    detached: true,
  });
  const late = AbortSignal.timeout(seconds * 1000);
  const either = AbortSignal.any([signal, late]);
  const kill = () => {
    try {
      if (child.pid) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  };
  either.addEventListener("abort", kill);
  try {
    return (await child).stdout;
  } catch (error) {
    // What it started may still run.
    kill();
    if (signal.aborted) throw new Error("given up, since deployd stops or its settings have changed");
    throw new Error(late.aborted ? `no end after ${seconds} s` : reason(error, share));
  } finally {
    either.removeEventListener("abort", kill);
  }
}

/**
 * The limits hold for the program and all that it starts. Without the signal, a file that becomes too large is an error
 * that the program tells.
 */
const limited = 'trap "" XFSZ; ulimit -c 0; ulimit -d "$1"; ulimit -f "$2"; shift 2; exec "$@"';

/** Characters of a program's errors that are shown. */
const shown = 1000;

/** Why a program failed, in one line. */
function reason(error: unknown, { memory, file, output }: Share): string {
  if (!(error instanceof ExecaError)) return (error as Error).message;
  if (error.isMaxBuffer) return `printed more than ${output} MiB`;
  const said = String(error.stderr ?? "");
  if (/out of memory|cannot allocate memory|cannot create async thread|pthread_create failed/i.test(said))
    return `needs more than ${memory} MiB of memory`;
  if (/file too large/i.test(said)) return `needs a file of more than ${file} MiB`;
  const lines = said
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line && !noise.test(line));
  const first = lines.findIndex((line) => /^(fatal|error):/i.test(line));
  const text = lines.slice(Math.max(0, first)).join(" ") || "failed";
  return text.length > shown ? `${text.slice(0, shown)} …` : text;
}

/** Lines that say nothing about the cause. */
const noise = /^(hint:|Use --debug flag|# Warning:|level=(WARN|INFO)|time=\S+ level=(WARN|INFO))/;
