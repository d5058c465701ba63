// Proves what `npm run new:component` writes and refuses, and that its output compiles and passes the lint once it is
// wired.
// Does not prove that a server of that name exists.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { newComponent } from "../../scripts/new-component.ts";

let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "new-component-"));
});
afterAll(() => rmSync(copy, { recursive: true }));

it.each([
  [undefined, "found no name"],
  ["Sample", 'found "Sample"; expected a name of lower-case letters, digits and dashes such as schema-registry'],
  ["../sample", 'found "../sample"'],
  ["redis", "components/redis: exists; expected the name of a new component"],
])("refuses the name %s", (name, message) => {
  expect(() => newComponent(".", name)).toThrow(message);
});

it("writes a component that compiles and keeps the lint with two lines added", { timeout: 240_000 }, () => {
  const config = ["tsconfig.json", "biome.json", "package.json", "index.ts", "transforms.ts"];
  for (const path of [...config, "components", "config", "local", "engine", "render", "kube", "policy", "test/program"])
    if (existsSync(path)) cpSync(path, join(copy, path), { recursive: true });
  symlinkSync(resolve("node_modules"), join(copy, "node_modules"));
  const told = newComponent(copy, "sample-server");

  const [imported] = /import \{ sampleServer \}.*/.exec(told) ?? [];
  const [wired] = /\.add\("sampleServer".*\)\)\)/.exec(told) ?? [];
  const [needed] = /import \{ SampleServer \}.*/.exec(told) ?? [];
  const edit = (path: string, before: string, ...lines: (string | undefined)[]) => {
    const text = readFileSync(join(copy, path), "utf8");
    expect(text).toContain(before);
    writeFileSync(join(copy, path), `${lines[0]}\n${text.replace(before, `${lines[1]}\n${before}`)}`);
  };
  edit("components/registry.ts", "  djangoApps,\n};", imported, "  sampleServer,");
  edit("components/platform.ts", "      .complete()", needed, `      ${wired}`);

  const bin = (name: string) => resolve("node_modules/.bin", name);
  const files = ["components/sample-server", "test/program/sample-server.test.ts"];
  execFileSync(bin("biome"), ["check", "--write", "components/registry.ts", "components/platform.ts", ...files], {
    cwd: copy,
    stdio: "pipe",
  });
  const program = { extends: "./tsconfig.json", include: ["index.ts", "test/program/sample-server.test.ts"] };
  writeFileSync(join(copy, "tsconfig.sample.json"), JSON.stringify(program));
  execFileSync(bin("tsc"), ["--noEmit", "--project", "tsconfig.sample.json"], { cwd: copy, stdio: "pipe" });
});
