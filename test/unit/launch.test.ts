// Proves that the sources of a checkout are built only if they have changed, and that a build knows its source paths.
// Does not measure the time saved.
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let root: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "launch-")));
  mkdirSync(join(root, "node_modules"));
  mkdirSync(join(root, "lib"));
  symlinkSync(resolve("node_modules/semver"), join(root, "node_modules/semver"));
  write("package.json", '{ "type": "module" }');
  write("lib/value.ts", "export const value: number = 1;");
  write("main.ts", 'import { value } from "./lib/value.ts";\nconsole.log(value);');
});
afterEach(() => rmSync(root, { recursive: true }));

const write = (path: string, text: string) => writeFileSync(join(root, path), text);
const cache = () => join(root, "node_modules/.cache/data-platform");
const builds = () => readdirSync(cache()).filter((name) => /^[0-9a-f]{16}$/.test(name));

/** The output of a process that loads the entry. */
async function run(): Promise<string> {
  const sources = JSON.stringify(resolve("launch/sources.mjs"));
  const code = `import { load } from ${sources}; await load("main.ts", ${JSON.stringify(root)});`;
  const { all } = await execa(process.execPath, ["--input-type=module", "--eval", code], { all: true, reject: false });
  return all;
}

describe("the sources of a checkout", () => {
  it("are built once, and again if one of them changes", async () => {
    expect(await run()).toBe("1");
    expect(await run()).toBe("1");
    expect(builds()).toHaveLength(1);
    write("lib/value.ts", "export const value: number = 2;");
    expect(await run()).toBe("2");
    expect(builds()).toHaveLength(2);
  });

  it("are built again if the libraries may have changed", async () => {
    write("package-lock.json", "{}");
    await run();
    write("package-lock.json", '{ "lockfileVersion": 3 }');
    expect(await run()).toBe("1");
    expect(builds()).toHaveLength(2);
  });

  it("can be started by several processes at once, even the first time", async () => {
    expect(await Promise.all([run(), run(), run()])).toEqual(["1", "1", "1"]);
    expect(builds()).toHaveLength(1);
    expect(readdirSync(cache()).filter((name) => name.includes("-"))).toEqual([]);
  });

  it("resolve relative paths and the libraries of the checkout", async () => {
    write("lib/value.ts", 'export const value = [import.meta.dirname, import.meta.url].join(" ");');
    write(
      "main.ts",
      'import semver from "semver";\nimport { value } from "./lib/value.ts";\nconsole.log(semver.major("3.2.1"), value);',
    );
    expect(await run()).toBe(`3 ${root}/lib file://${root}/lib/value.ts`);
  });

  it("are named in the stack trace of an error", async () => {
    write("lib/value.ts", 'interface Nothing {}\nexport const value: Nothing = {};\nthrow new Error("wrong");');
    expect(await run()).toContain("lib/value.ts:3:7");
  });

  it.skipIf(process.platform !== "linux")("run if no build can be written (Linux)", async () => {
    // No user can create folders there. Permissions do not restrict root.
    symlinkSync("/sys/kernel", join(root, "node_modules/.cache"));
    expect(await run()).toBe("1");
  });
});
