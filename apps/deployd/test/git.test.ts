// Proves what deployd asks of git, on real repositories over HTTP. Not over TLS, and not on GitHub itself.
import { lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Git } from "../src/git.ts";
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

it("says so where the folder is not there", async () => {
  await server.commit("a/nowhere", { "README.md": "words" });
  await expect(checkout(settings("a/nowhere"))).rejects.toThrow(
    /^deploy\/manifests is not in commit [0-9a-f]{10} of main$/,
  );
});

it("does not follow a link out of the repository", async () => {
  writeFileSync(join(folder, "private"), "a secret");
  await server.commit("a/link", { "deploy/manifests/a.yaml": { link: join(folder, "private") } });
  const to = place();
  await git().checkout(settings("a/link"), to, never);
  const file = join(to, "deploy/manifests/a.yaml");
  expect(lstatSync(file).isSymbolicLink()).toBe(false);
  expect(readFileSync(file, "utf8")).toBe(join(folder, "private"));
});

it("opens a private repository with its token, and tells nobody the token", async () => {
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

it("gives up a server that does not answer when it is told to", async () => {
  server.hanging.add("a/hanging");
  const stop = new AbortController();
  const head = git().head(settings("a/hanging"), stop.signal);
  setTimeout(() => stop.abort(), 300);
  await expect(head).rejects.toThrow(/^git ls-remote: given up/);
});
