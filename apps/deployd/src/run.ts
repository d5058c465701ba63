import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ExecaError, execa } from "execa";

/** The environment of programs that read other people's files. */
const plain = {
  PATH: process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin",
  HOME: "/tmp",
  ...(process.env.SSL_CERT_FILE && { SSL_CERT_FILE: process.env.SSL_CERT_FILE }),
};

/** Limits of a program, in MiB. */
export interface Share {
  /** Memory of each of its processes (RLIMIT_DATA). */
  memory: number;
  /** One file that it writes (RLIMIT_FSIZE). */
  file: number;
  /** What it prints. */
  output: number;
}

/**
 * Runs a program and returns its output. After `seconds`, or by the signal, it is killed with its children: git starts
 * another program for the connection, which would keep waiting for a server that does not answer.
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
  // Resolved with deployd's PATH, since the program's own may be empty.
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
      // It has ended.
    }
  };
  either.addEventListener("abort", kill);
  try {
    return (await child).stdout;
  } catch (error) {
    // Its children may still run.
    kill();
    if (signal.aborted) throw new Error("given up, since deployd stops or its settings have changed");
    throw new Error(late.aborted ? `no end after ${seconds} s` : reason(error, share));
  } finally {
    either.removeEventListener("abort", kill);
  }
}

/**
 * The limits apply to the program and its children. SIGXFSZ is ignored, so that the program reports a file that becomes too
 * large as an error.
 */
const limited = 'trap "" XFSZ; ulimit -c 0; ulimit -d "$1"; ulimit -f "$2"; shift 2; exec "$@"';

/** Characters after which a program's error is cut. */
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

/** Lines without a cause. */
const noise = /^(hint:|Use --debug flag|# Warning:|level=(WARN|INFO)|time=\S+ level=(WARN|INFO))/;
