// Proves the command line from the user's side: one message for a mistake, and the exit code.
// Does not prove any command on a cluster: the cluster tests do.
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { platform } from "../../cli/commands.ts";
import { root } from "../../cli/project.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cli-"));
  // A cluster of this machine may have the stack in its state.
  vi.stubEnv("PLATFORM_STATE", join(folder, "state"));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Runs the command in its own process. */
const process = (...args: string[]) =>
  execa(join(root, "platform"), args, {
    cwd: folder,
    reject: false,
    env: { PLATFORM_SEED: "", KUBECONFIG: "/nonexistent", PLATFORM_STATE: join(folder, "state") },
  });

describe("a mistake gets one message", () => {
  /** Messages of Commander itself. */
  const parse = async (...args: string[]) => {
    let said = "";
    const writeErr = (text: string) => {
      said += text;
    };
    for (const command of everyCommand()) command.configureOutput({ writeErr });
    const error = await platform.parseAsync(args, { from: "user" }).then(
      () => expect.unreachable("it was taken"),
      (error) => error,
    );
    expect(error.name).toBe("CommanderError");
    return said.trim();
  };

  test.each([
    [["upp"], "error: unknown command 'upp'\n(Did you mean one of app, up?)\n(--help shows what is possible)"],
    [["render"], "error: required option '-o, --out <directory>' not specified\n(--help shows what is possible)"],
    [
      ["test", "--within", "soon"],
      "error: option '--within <duration>' argument 'soon' is invalid. Expected a time such as 90s, 10m or 1h.\n(--help shows what is possible)",
    ],
    [
      ["cluster", "up", "--simulated-nodes=-1"],
      "error: option '--simulated-nodes <n>' argument '-1' is invalid. Expected a whole number from 0.\n(--help shows what is possible)",
    ],
    [
      ["render", "--out", "x", "--secrets", "plain"],
      "error: option '--secrets <how>' argument 'plain' is invalid. Allowed choices are redacted, seeded.\n(--help shows what is possible)",
    ],
  ])("%j", async (args, message) => {
    expect(await parse(...args)).toBe(message);
  });

  test.each([
    [
      ["render", "--out", "x", "--stack", "nope"],
      /^stack nope: there is no Pulumi\.nope\.yaml; stacks here: dev, prod, test$/,
    ],
    [
      ["render", "--out", "x", "--secrets", "seeded"],
      /^--secrets seeded: found no seed; expected --seed-file FILE or PLATFORM_SEED: `openssl rand -hex 32` makes one$/,
    ],
    [
      ["render", "--out", "x", "--secrets", "seeded", "--seed-file", "missing"],
      /^--seed-file: missing: ENOENT; expected a file with the seed$/,
    ],
    [
      ["credentials", "oracle"],
      /^COMPONENT: found oracle; expected one of postgresql, redis, minio, polls, web-app, deployd$/,
    ],
    [
      [..."app validate --name shop --version 1.0.0 --path apps/polls --database cloudnative-pg".split(" ")],
      /^stack dev: djangoApps\.shop\.database: found "cloudnative-pg"; expected cloudnativePg\.enabled: true beside it/,
    ],
  ])("%j", async (args, message) => {
    await expect(platform.parseAsync(args, { from: "user" })).rejects.toMatchObject({
      name: "ConfigError",
      message: expect.stringMatching(message),
    });
  });
});

test("exit codes: 2 for a wrong command, 1 for a failure, and no stack trace", async () => {
  const wrong = await process("render", "--secrets", "plain", "--out", "x");
  expect({ code: wrong.exitCode, stdout: wrong.stdout, lines: wrong.stderr.split("\n").length }).toEqual({
    code: 2,
    stdout: "",
    lines: 2,
  });
  const failed = await process("status", "--context", "gone");
  expect(failed).toMatchObject({
    exitCode: 1,
    stderr: "/nonexistent: not a kubeconfig: ENOENT: no such file or directory, open '/nonexistent'",
  });
}, 60_000);

const everyCommand = (command: Command = platform): Command[] => [command, ...command.commands.flatMap(everyCommand)];

test("every command and option has a description", () => {
  const names = everyCommand().map((command) => command.name());
  for (const name of [
    "up",
    "preview",
    "status",
    "destroy",
    "credentials",
    "render",
    "diff",
    "cluster",
    "down",
    "kubeconfig",
    "test",
  ])
    expect(names).toContain(name);
  for (const command of everyCommand()) {
    expect(command.description()).not.toBe("");
    for (const option of command.options) expect(option.description, `${command.name()} ${option.flags}`).not.toBe("");
  }
});

test("renders from anywhere, by a link, to the same bytes twice", async () => {
  symlinkSync(join(root, "platform"), join(folder, "link"));
  for (const out of ["a", "b"])
    expect(await execa("./link", ["render", "--out", out], { cwd: folder })).toMatchObject({ exitCode: 0, stderr: "" });
  const read = (out: string) =>
    readdirSync(join(folder, out)).map((name) => [name, readFileSync(join(folder, out, name), "utf8")]);
  expect(read("a")).toEqual(read("b"));
  expect(read("a").length).toBeGreaterThan(20);
}, 60_000);
