import { ExecaError, execa } from "execa";

/** What programs that read other people's files are given of the environment. */
const plain = {
  PATH: process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin",
  HOME: "/tmp",
  ...(process.env.SSL_CERT_FILE && { SSL_CERT_FILE: process.env.SSL_CERT_FILE }),
};

/**
 * What a program printed. It is killed after so many seconds, or by the signal, and with it all that it started: git
 * leaves the talking to another program, which would wait on for a server that does not answer.
 */
export async function run(
  program: string,
  args: string[],
  options: { seconds: number; signal: AbortSignal; cwd?: string; env?: Record<string, string> },
): Promise<string> {
  const { seconds, signal, cwd, env } = options;
  signal.throwIfAborted();
  const child = execa(program, args, {
    ...(cwd && { cwd }),
    env: { ...plain, ...env },
    extendEnv: false,
    stdin: "ignore",
    maxBuffer: 16 * 1024 * 1024,
    detached: true,
  });
  const late = AbortSignal.timeout(seconds * 1000);
  const either = AbortSignal.any([signal, late]);
  const kill = () => {
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  };
  either.addEventListener("abort", kill);
  try {
    return (await child).stdout;
  } catch (error) {
    if (signal.aborted) throw new Error("given up, since deployd stops or its settings have changed");
    throw new Error(late.aborted ? `no end after ${seconds} s` : reason(error as Error));
  } finally {
    either.removeEventListener("abort", kill);
  }
}

/** Why a program failed, in one line. */
function reason(error: Error): string {
  if (!(error instanceof ExecaError)) return error.message;
  const lines = String(error.stderr || error.shortMessage)
    .split("\n")
    .filter((line) => line.trim());
  return (lines.find((line) => /^(fatal|error):/i.test(line)) ?? lines.at(-1) ?? "failed").slice(0, 600);
}
