// Proves that only one command runs at a time, even if one is killed or two start together.
// Does not prove the lock on a network file system.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lock } from "../../cli/lock.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lock-"));
});
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

/** Another process that takes the lock, prints that, and keeps running. */
async function elsewhere(command: string) {
  const code = `import { lock } from "./cli/lock.ts";
    lock(${JSON.stringify(command)}, ${JSON.stringify(folder)}).then(
      () => { console.log("held"); setInterval(() => {}, 1000); },
      (error) => { console.log(error.message); process.exit(1); });`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  const stop = async (signal: NodeJS.Signals) => {
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  };
  return { pid: child.pid!, said: said.toString().trim(), stop };
}

test("a second command is refused with the name of the first, and one after its end runs", async () => {
  const release = await lock("./platform up", folder);
  await expect(lock("./platform destroy", folder)).rejects.toThrow(
    new RegExp(
      `^another command is running: \`./platform up\`, process ${process.pid}, since \\d{4}-\\d\\d-\\d\\d [\\d:]{8} UTC; wait until it has ended, or stop it$`,
    ),
  );
  release();
  (await lock("./platform destroy", folder))();
  expect(readdirSync(folder)).toEqual([]);
});

test("the lock of a killed command blocks no other and is removed", async () => {
  const other = await elsewhere("./platform up --stack test");
  expect(other.said).toBe("held");
  await expect(lock("again", folder)).rejects.toThrow(`\`./platform up --stack test\`, process ${other.pid},`);
  await other.stop("SIGKILL");
  expect(readdirSync(folder)).toHaveLength(1);
  (await lock("again", folder))();
  expect(readdirSync(folder)).toEqual([]);
});

test("of many that start together exactly one runs", async () => {
  const results = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => lock(`number ${i}`, folder)));
  const won = results.filter((result) => result.status === "fulfilled");
  expect(won).toHaveLength(1);
  for (const result of results) if (result.status === "rejected") expect(result.reason.name).toBe("UserError");
  won[0]!.value();
});
