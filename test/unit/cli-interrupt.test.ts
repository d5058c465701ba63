// Proves what the command line does on a signal and on ^C in a terminal.
// Does not prove that Pulumi then ends cleanly: the cluster tests do.
import { resolve } from "node:path";
import { execa } from "execa";
import { expect, it } from "vitest";

const work = `
  import { handleSignals, onInterrupt } from ${JSON.stringify(resolve("cli/interrupt.ts"))};
  handleSignals("./platform up");
  onInterrupt(async ({ reachedAll }) => console.log("reached all: " + reachedAll));
  setInterval(() => {}, 1000);
  console.log("ready");
`;
const node = [process.execPath, "--import", "tsx", "--input-type=module", "--eval", work];
const hint = "stopped; what is done stays done: run `./platform up` again to go on";

it.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s stops the running work and ends with its exit code", async (signal, code) => {
  const run = execa(node[0] as string, node.slice(1), { reject: false, detached: true });
  run.stdout.once("data", () => run.kill(signal));
  const { exitCode, stdout, stderr } = await run;
  expect({ exitCode, stdout, stderr: stderr.trim() }).toEqual({
    exitCode: code,
    stdout: "ready\nreached all: false",
    stderr: hint,
  });
});

it("^C in a terminal reaches every process of its group", async () => {
  const program = `
import os, pty, sys
child, terminal = pty.fork()
if child == 0: os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while b"ready" not in said: said += os.read(terminal, 1024)
os.write(terminal, b"\\x03")
try:
  while True:
    more = os.read(terminal, 1024)
    if not more: break
    said += more
except OSError: pass
print(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))`;
  const { exitCode, stdout } = await execa("python3", ["-c", program, ...node], { reject: false, stdin: "ignore" });
  expect(stdout).toContain("reached all: true");
  expect(stdout).toContain(hint);
  expect(exitCode).toBe(130);
});
