// Proves how another revision is rendered for a comparison. A shell script replaces that revision's `./platform
// render`.
// Does not prove what the real command writes: test/program does.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BaseRevision } from "../../render/diff/base.ts";

let root: string;
let temporary: string | undefined;
const git = (...args: string[]) =>
  execaSync("git", ["-c", "user.name=test", "-c", "user.email=test@example.com", ...args], { cwd: root }).stdout;
const leftovers = () => readdirSync(join(root, "tmp")).filter((name) => name.startsWith("platform-diff-"));
const worktrees = () => git("worktree", "list").split("\n").length;

/** Commits a `platform` with this as its `render`; `$4` is the stack's name, `$6` the output directory. */
function commit(script: string, files: Record<string, string> = {}) {
  writeFileSync(join(root, "platform"), `#!/bin/sh\nset -e\nshift; stack=$2; out=$4\n${script}\n`);
  chmodSync(join(root, "platform"), 0o755);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  git("add", "-A");
  git("commit", "--quiet", "--message", "a revision");
}

const configMap = `mkdir "$out"; printf 'kind: Kustomization\n' > "$out/kustomization.yaml"
echo "kind: ConfigMap" > "$out/40-configmap.yaml"`;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "diff-test-"));
  temporary = process.env.TMPDIR;
  process.env.TMPDIR = join(root, "tmp");
  mkdirSync(process.env.TMPDIR);
  git("init", "--quiet", "--initial-branch=main");
  writeFileSync(join(root, ".gitignore"), "tmp/\nnode_modules/\n");
  commit(configMap, { "Pulumi.yaml": "name: test\n", "Pulumi.dev.yaml": "config: {}\n", "package-lock.json": "{}\n" });
  mkdirSync(join(root, "node_modules", "a-module"), { recursive: true });
});

afterEach(() => {
  if (temporary === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = temporary;
  rmSync(root, { recursive: true, force: true });
});

/** The objects of a stack at `ref`. Always removes the checkout. */
async function rendered(ref = "main", stack = "dev", said: string[] = []) {
  const base = await BaseRevision.checkOut(root, ref);
  try {
    return await base.render(stack, (line) => said.push(line));
  } finally {
    base.remove();
    expect(leftovers()).toEqual([]);
    expect(worktrees()).toBe(1);
  }
}

describe("another revision", () => {
  it("is rendered by its own code, not by that of the checkout", async () => {
    git("tag", "before");
    commit("exit 1");
    expect(await rendered("before")).toEqual([{ kind: "ConfigMap" }]);
  });

  it("does not include uncommitted changes", async () => {
    writeFileSync(join(root, "platform"), "not committed");
    expect(await rendered()).toEqual([{ kind: "ConfigMap" }]);
  });

  it("uses the checkout's modules if the lock file is the same, and cannot delete them", async () => {
    commit(`test -d node_modules/a-module; rm -rf node_modules; ${configMap}`);
    expect(await rendered()).toHaveLength(1);
    expect(existsSync(join(root, "node_modules", "a-module"))).toBe(true);
  });

  it("installs its own modules if it is not", async () => {
    commit(`test ! -e node_modules; echo "installing" >&2; ${configMap}`);
    writeFileSync(join(root, "package-lock.json"), "{ }\n");
    const said: string[] = [];
    expect(await rendered("main", "dev", said)).toHaveLength(1);
    expect(said).toEqual(["at main: installing"]);
  });

  it("gets placeholders for encrypted values, so that none has to be decrypted", async () => {
    commit(`mkdir "$out"; cp "Pulumi.$stack.yaml" "$out/x.yaml"`, {
      "Pulumi.dev.yaml": "config:\n  kubernetes:kubeconfig:\n    secure: AAAB\n  other:key: 1\n",
    });
    expect(await rendered()).toEqual([
      { config: { "kubernetes:kubeconfig": expect.stringMatching(/^REDACTED/), "other:key": 1 } },
    ]);
  });

  it.each([
    [
      "a name that git does not know",
      "nowhere",
      "--base: found nowhere; expected a branch, tag or commit of this repository",
    ],
    [
      "an option in place of a name",
      "--all",
      "--base: found --all; expected a branch, tag or commit of this repository",
    ],
  ])("is refused for %s", async (_, ref, message) => {
    await expect(rendered(ref)).rejects.toThrow(message);
    expect(leftovers()).toEqual([]);
  });

  it("is refused outside of a repository", async () => {
    rmSync(join(root, ".git"), { recursive: true });
    await expect(BaseRevision.checkOut(root, "main")).rejects.toThrow(/^--base: not a git repository/);
  });

  it("reports its stacks if it lacks one", async () => {
    await expect(rendered("main", "prod")).rejects.toThrow(
      "at main: stack prod: there is no Pulumi.prod.yaml; stacks here: dev",
    );
  });

  it("reports that it cannot render", async () => {
    git("rm", "--quiet", "platform");
    git("commit", "--quiet", "--message", "none");
    await expect(rendered()).rejects.toThrow("at main: there is no ./platform to render a stack with");
    commit("echo 'error: unknown command' >&2; exit 2");
    await expect(rendered()).rejects.toThrow("at main: `./platform render --stack dev` fails: error: unknown command");
  });

  it("is removed, with its processes, when the process gets SIGTERM", async () => {
    commit("echo $$ >&2; sleep 1000 & wait");
    const script = `
      import { BaseRevision } from ${JSON.stringify(new URL("../../render/diff/base.ts", import.meta.url).href)};
      process.once("SIGTERM", () => process.exit(143));
      const base = await BaseRevision.checkOut(${JSON.stringify(root)}, "main");
      await base.render("dev", (line) => console.log(line));`;
    const child = execa(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", script], {
      reject: false,
    });
    let pid = 0;
    for await (const line of child) {
      pid = Number(line.replace("at main: ", ""));
      expect(worktrees()).toBe(2);
      child.kill("SIGTERM");
    }
    expect((await child).exitCode).toBe(143);
    expect(leftovers()).toEqual([]);
    expect(worktrees()).toBe(1);
    expect(pid).toBeGreaterThan(1);
    // A process that is killed ends when it is scheduled next. Zombie processes of the group may still be listed.
    await vi.waitFor(
      () => {
        const processes = execaSync("ps", ["-A", "-o", "pgid=,stat="]).stdout.split("\n");
        expect(processes.filter((line) => new RegExp(`^ *${pid} +[^Z]`).test(line))).toEqual([]);
      },
      { timeout: 30_000, interval: 100 },
    );
  });
});
