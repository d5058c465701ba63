// Proves what deployd asks of git, on real repositories over HTTP.
// Does not prove it over TLS, nor with GitHub itself.
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Git, limits } from "../src/git.ts";
import { parseSettings, type RepositorySettings } from "../src/settings.ts";
import { GitServer } from "./git-server.ts";

let server: GitServer;
let folder: string;
let count = 0;
const never = new AbortController().signal;
const place = () => join(folder, `checkout-${count++}`);

const settings = (name: string, more = ""): RepositorySettings =>
  parseSettings(`repositories: [{ name: ${name}, url: "${server.url(name)}", namespace: apps, ${more} }]`)[0]!;

beforeAll(async () => {
  server = await GitServer.start();
  folder = mkdtempSync(join(tmpdir(), "git-test-"));
});
afterAll(() => {
  server.stop();
  rmSync(folder, { recursive: true });
});

const git = () => new Git(join(folder));
const checkout = (of: RepositorySettings) => git().checkout(of, place(), never);

it("finds the newest commit of the branch", async () => {
  const commit = await server.commit("a/head", { "deploy/manifests/a.yaml": "a: 1" });
  expect(await git().head(settings("a/head"), never)).toBe(commit);
  await expect(git().head(settings("a/head", "branch: other"), never)).rejects.toThrow(/has no branch other/);
});

it("has another digest when the manifests or their overlay change, and for nothing else", async () => {
  const name = "a/digest";
  const digest = async (more = "") => (await checkout(settings(name, more))).digest;
  await server.commit(name, { "deploy/manifests/a.yaml": "a: 1" });
  const first = await digest();
  await server.commit(name, { "README.md": "words", "deploy/overlays/test/kustomization.yaml": "{}" });
  expect(await digest()).toBe(first);
  const overlaid = await digest("environment: test");
  await server.commit(name, { "deploy/overlays/prod/kustomization.yaml": "{}" });
  expect(await digest("environment: test")).toBe(overlaid);
  await server.commit(name, { "deploy/overlays/test/kustomization.yaml": "{ }" });
  expect(await digest("environment: test")).not.toBe(overlaid);
  expect(await digest()).toBe(first);
  await server.commit(name, { "deploy/manifests/a.yaml": "a: 2" });
  expect(await digest()).not.toBe(first);
});

it("takes a whole repository, without what git keeps of it", async () => {
  await server.commit("a/whole", { "a.yaml": "a: 1", "b/c.yaml": "b: 1" });
  const of = { ...settings("a/whole"), path: "." };
  const { folder, take, digest } = await checkout(of);
  expect(await take(of.path)).toBe("folder");
  expect(readdirSync(folder, { recursive: true }).sort()).toEqual(["a.yaml", "b", "b/c.yaml"]);
  await server.commit("a/whole", { "README.md": "words" });
  expect((await checkout(of)).digest).not.toBe(digest);
});

it("says so where the folder is not there", async () => {
  await server.commit("a/nowhere", { "README.md": "words" });
  await expect(checkout(settings("a/nowhere"))).rejects.toThrow(
    /^deploy\/manifests is not in commit [0-9a-f]{10} of main$/,
  );
});

describe("refuses to read", () => {
  const at = "deploy/manifests";
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 12345\n`;
  it.each<[string, Parameters<GitServer["commit"]>[1], string]>([
    [
      "a link out of the repository",
      { [`${at}/a.yaml`]: { link: "/etc/passwd" } },
      `${at}/a.yaml is a symbolic link, which deployd does not follow: commit the file it leads to instead`,
    ],
    ["a link to a folder", { "base/a.yaml": "", [`${at}/b`]: { link: "../../base" } }, `${at}/b is a symbolic link`],
    ["a folder that is a link", { "k8s/a.yaml": "", [at]: { link: "../k8s" } }, `${at} is a symbolic link`],
    ["a folder below a link", { "k8s/manifests/a.yaml": "", deploy: { link: "k8s" } }, "deploy is a symbolic link"],
    [
      "a file in Git LFS",
      { [`${at}/a.yaml`]: pointer },
      `${at}/a.yaml is stored in Git LFS, which deployd does not fetch: commit the file itself`,
    ],
    [
      "a large file",
      { [`${at}/a.yaml`]: Buffer.alloc(2 * 1024 * 1024 + 1, "a") },
      `${at}/a.yaml: expected a file of at most 2 MiB`,
    ],
    [
      "many files",
      Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`${at}/${index}.yaml`, "a: 1"])),
      `${at}: found 101 files of 1 MiB to read; expected at most 100 files of 4 MiB`,
    ],
    [
      "much in all files",
      Object.fromEntries(
        Array.from({ length: 3 }, (_, index) => [`${at}/${index}.yaml`, Buffer.alloc(2 * 1024 * 1024, index)]),
      ),
      `${at}: found 3 files of 6 MiB to read; expected at most 100 files of 4 MiB`,
    ],
  ])("%s", async (kind, files, message) => {
    const name = `a/${kind.replaceAll(" ", "-").toLowerCase()}`;
    await server.commit(name, files);
    const small = new Git(folder, { ...limits, files: 100, totalMiB: 4 });
    const read = async () => (await small.checkout(settings(name), place(), never)).take(at);
    await expect(read()).rejects.toThrow(message);
  });

  it("a submodule, and what is below one", async () => {
    await server.commit("a/submodule", { "README.md": "words" }, ["deploy/manifests/lib", "other"]);
    const found = await checkout(settings("a/submodule"));
    const message = "is a submodule, which deployd does not fetch: commit its files";
    await expect(found.take("deploy/manifests")).rejects.toThrow(`deploy/manifests/lib ${message}`);
    await expect(found.take("other/manifests")).rejects.toThrow(`other ${message}`);
  });
});

it("takes what is asked for alone, and once: large files and links beside it are nothing to it", async () => {
  await server.commit("a/split", {
    "deploy/manifests/a.yaml": "a: 1",
    "deploy/manifests/README.md": { link: "../../README.md" },
    "deploy/base/b.yaml": "b: 1",
    "large.bin": Buffer.alloc(3 * 1024 * 1024, 1),
    link: { link: "/etc" },
  });
  const { folder, take } = await checkout(settings("a/split"));
  expect(readdirSync(folder)).toEqual([]);
  expect(await take("deploy/manifests")).toBe("folder");
  expect(readdirSync(join(folder, "deploy"))).toEqual(["manifests"]);
  expect(await take("deploy/base/b.yaml")).toBe("file");
  expect(await take("deploy/none")).toBeUndefined();
  writeFileSync(join(folder, "deploy/base/b.yaml"), "checked");
  expect(await take("deploy")).toBe("folder");
  expect(readFileSync(join(folder, "deploy/base/b.yaml"), "utf8")).toBe("checked");
  expect([await take("deploy/manifests/a.yaml"), await take("deploy/manifests/none")]).toEqual(["file", undefined]);
  await expect(take(".")).rejects.toThrow(/^(large\.bin|link)/);
});

it("looks for a limited number of paths", async () => {
  await server.commit("a/paths", { "deploy/manifests/a.yaml": "a: 1" });
  const small = new Git(folder, { ...limits, paths: 2 });
  const { take } = await small.checkout(settings("a/paths"), place(), never);
  await take("deploy/manifests");
  for (const file of ["a", "b", "c"]) await take(`deploy/manifests/${file}.yaml`);
  await take("b");
  await expect(take("c")).rejects.toThrow(
    "c: expected at most 2 files and folders that are named outside of deploy/manifests",
  );
});

it.each([true, false])(
  "leaves large files where they are, if the server can (%s), and unpacks none",
  async (filters) => {
    server.filters = filters;
    const name = `a/unpacks-${filters}`;
    await server.commit(name, {
      "deploy/manifests/a.yaml": "a: 1",
      "deploy/manifests/large.yaml": Buffer.alloc(80 * 1024 * 1024, 1),
    });
    const found = await checkout(settings(name));
    expect(await found.take("deploy/manifests/a.yaml")).toBe("file");
    await expect(found.take("deploy/manifests")).rejects.toThrow("large.yaml: expected a file of at most 2 MiB");
    expect(existsSync(join(found.folder, "deploy/manifests/large.yaml"))).toBe(false);
    server.filters = true;
  },
);

it.each([
  ["takes more memory", { memoryMiB: 3 }, "git clone: needs more than 3 MiB of memory"],
  ["fetches more", { fetchedMiB: 1 }, "git clone: needs a file of more than 1 MiB"],
])("is ended where it %s than its share", async (what, bounds, message) => {
  const name = `a/${what.replaceAll(" ", "-")}`;
  // Random, so that it stays as large as it is.
  const files = ["a", "b", "c"].map((file) => [file, randomBytes(1024 * 1024)]);
  await server.commit(name, Object.fromEntries(files));
  const small = new Git(folder, { ...limits, ...bounds });
  await expect(small.checkout(settings(name), place(), never)).rejects.toThrow(message);
});

it("opens a private repository with its token, and does not reveal the token", async () => {
  const name = "a/private";
  await server.commit(name, { "deploy/manifests/a.yaml": "a: 1" });
  server.tokens.set(name, "right-token");
  writeFileSync(join(folder, "right"), "right-token\n");
  writeFileSync(join(folder, "wrong"), "wrong-token");
  // The settings refuse a token without TLS, which this server does not have.
  const having = (token: string) => ({ ...settings(name), token });
  expect(await git().head(having("right"), never)).toMatch(/^[0-9a-f]{40}$/);
  expect((await checkout(having("right"))).commit).toMatch(/^[0-9a-f]{40}$/);
  const refused = await git()
    .head(having("wrong"), never)
    .catch(({ message }) => message);
  expect(refused).toMatch(/^git ls-remote: fatal: /);
  expect(refused).not.toContain("wrong-token");
  await expect(git().head(settings(name), never)).rejects.toThrow(/^git ls-remote: fatal: /);
  await expect(git().head(having("none"), never)).rejects.toThrow(/no key none/);
});

it("gives up a server that does not answer when it is stopped", async () => {
  server.hanging.add("a/hanging");
  const stop = new AbortController();
  const head = git().head(settings("a/hanging"), stop.signal);
  setTimeout(() => stop.abort(), 300);
  await expect(head).rejects.toThrow(/^git ls-remote: given up/);
});
