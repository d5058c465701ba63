// Proves how long-running work is shown, on real terminals of several widths and in logs.
// Does not prove how it looks.
import { resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { execa } from "execa";
import { describe, expect, it } from "vitest";

const work = `
  import { show } from ${JSON.stringify(resolve("cli/show.ts"))};
  const build = async (say) => {
    for (let line = 0; line < 40; line++) {
      say("compiling file " + line);
      await new Promise((resume) => setTimeout(resume, 20));
    }
  };
  const skip = () => "in the cache";
  await show([{ title: "Images", together: [{ title: "redis", skip, run: build }, { title: "minio", run: build }] }]);
`;
const node = [process.execPath, "--import", "tsx", "--input-type=module", "--eval", work];

/** What the work writes to a terminal. `columns` 0: a terminal of unknown width. */
async function onTerminal(columns: number): Promise<string> {
  const program = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(["sh", "-c", *sys.argv[1:]])))';
  const command = ["-c", program, `stty cols ${columns} rows 24; exec "$@"`, "sh", ...node];
  const { stdout } = await execa("python3", command, { stdin: "ignore" });
  return stripVTControlCharacters(stdout).replaceAll("\r", "");
}

describe("long work", () => {
  it("is shown as plain lines on a terminal of unknown width", async () => {
    const lines = (await onTerminal(0)).split("\n");
    expect(lines).toContain("↓ redis [SKIPPED: in the cache]");
    expect(lines).toContain("❯ minio");
    // The first line of the build; the next comes seconds later.
    expect(lines.filter((line) => line.includes("compiling"))).toEqual(["› compiling file 0"]);
    expect(lines.length).toBeLessThan(12);
  });

  it("is redrawn in place on a terminal of known width, with skipped steps and the reason", async () => {
    const shown = await onTerminal(80);
    expect(shown).toContain("↓ redis: in the cache\n");
    expect(shown).toContain("compiling file 0\n");
    expect(shown).not.toContain("SKIPPED");
  });

  it("is shown as plain lines in a log", async () => {
    const { stdout } = await execa(node[0] as string, node.slice(1), { env: { NO_COLOR: "1" } });
    expect(stdout.split("\n")).toContain("↓ redis [SKIPPED: in the cache]");
  });
});
