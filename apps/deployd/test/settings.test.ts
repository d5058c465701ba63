// Proves what the configuration file may say, the message of each refusal, and that an invalid file changes nothing.
// Does not prove that the platform writes such a file: the program's tests and the cluster tests do.
import { mkdtempSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { isOf, parseSettings, type RepositorySettings } from "../src/settings.ts";
import { type Configuration, watchSettings } from "../src/watch.ts";

const one = (more = "") => `repositories: [{ name: a/b, url: https://example.com/a/b.git, namespace: apps ${more} }]`;

it("fills in what is left out", () => {
  expect(parseSettings(one())).toEqual([
    {
      name: "a/b",
      url: "https://example.com/a/b.git",
      namespace: "apps",
      branch: "main",
      path: "deploy/manifests",
      prune: false,
      repairDrift: false,
      overrideNamespace: false,
      skipUnsupported: false,
      adopt: [],
      serviceAccounts: [],
      interval: 60,
    },
  ]);
});

it.each(["feature/#12", "user@host", "v1+fix", "dependabot/npm/@types/node-20", "größe", "a{b}"])(
  "takes the branch %s",
  (branch) => {
    expect(parseSettings(one(`, branch: "${branch}"`))[0]!.branch).toBe(branch);
  },
);

it.each([
  "-x",
  "/a",
  "a/",
  "a//b",
  "a..b",
  "a b",
  "a~1",
  "a^",
  "a:b",
  "a?",
  "a*",
  "a[b",
  "a\\\\b",
  "@",
  "a@{b",
  "a.lock",
  "a/.b",
  "a.",
])("refuses the branch %s, as git does", (branch) => {
  expect(() => parseSettings(one(`, branch: "${branch}"`))).toThrow(
    /^repositories\[0\]\.branch: expected a branch's name, as git takes it$/,
  );
});

it.each(["my_team/app", "my.team/app", "Team-2/a.b_c", "group_a.b/x"])("takes the name %s", (name) => {
  expect(parseSettings(one().replace("a/b,", `${name},`))[0]!.name).toBe(name);
});

it("takes the whole repository as a folder", () => {
  expect(parseSettings(one(", path: ."))[0]!.path).toBe(".");
});

it("knows which pushes concern an entry: by its name and by its URL, so that a repository can be there twice", () => {
  const [web, jobs, mirror] = parseSettings(
    `repositories:
      - { name: shop/web, url: "https://git.example.com/shop/web.git", namespace: a }
      - { name: shop/web-jobs, url: "https://git.example.com/shop/web.git", namespace: a, path: jobs }
      - { name: other/web, url: "https://git.example.com/git/Shop/Web/", namespace: a }`,
  ) as [RepositorySettings, RepositorySettings, RepositorySettings];
  for (const one of [web, jobs, mirror]) expect(isOf(one, "Shop/web")).toBe(true);
  expect(isOf(jobs, "shop/web-jobs")).toBe(true);
  expect(isOf(mirror, "other/web")).toBe(true);
  expect(isOf(web, "hop/web")).toBe(false);
  expect(isOf(web, "shop/web-jobs")).toBe(false);
});

it.each([
  ["repositories: {", /^not YAML: /],
  ["a: 1", /^repositories: expected a list of repositories; the file: Unrecognized key: "a"$/],
  [
    one(", path: ../other"),
    /^repositories\[0\]\.path: expected a folder of the repository such as deploy\/manifests, or \. for all of it$/,
  ],
  [one(", path: /etc"), /^repositories\[0\]\.path: expected a folder/],
  [one(", branch: --upload-pack=x"), /^repositories\[0\]\.branch: expected a branch's name, as git takes it$/],
  [one(", token: t").replace("https://", "http://"), /^repositories\[0\]\.url: expected an https URL beside token: /],
  [
    one().replace("https://example.com/a/b.git", "'https://[::/a'"),
    /^repositories\[0\]\.url: expected an http or https URL without a user/,
  ],
  [one(", adopt: [data]"), /^repositories\[0\]\.adopt\[0\]: expected Kind\/name such as PersistentVolumeClaim\/data$/],
  [
    one(", serviceAccounts: [../x]"),
    /^repositories\[0\]\.serviceAccounts\[0\]: expected the name of a ServiceAccount$/,
  ],
  [one(", skipUnsupported: yes"), /^repositories\[0\]\.skipUnsupported: expected true or false$/],
  [one(", environment: ../x"), /^repositories\[0\]\.environment: expected an environment's name/],
  [one(", token: ../webhook/secret"), /^repositories\[0\]\.token: expected a key of the Secret with tokens$/],
  [one(", interval: 1"), /^repositories\[0\]\.interval: expected whole seconds from 5 to 86400$/],
  [
    one().replace("https://", "https://me:secret@"),
    /^repositories\[0\]\.url: expected an http or https URL without a user/,
  ],
  [one().replace("https://", "file://"), /^repositories\[0\]\.url: expected an http or https URL/],
  [one().replace("a/b,", "b,"), /^repositories\[0\]\.name: expected owner\/repo/],
  [
    "repositories: [{ name: a/b, url: 'http://x', namespace: c }, { name: A/b, url: 'http://x', namespace: c }]",
    /^repositories\[1\]\.name: expected each name once; for a second folder of a repository, another name with the same url$/,
  ],
  [
    "repositories: [{ name: a.b/c, url: 'http://x', namespace: c }, { name: a/b.c, url: 'http://x', namespace: c }]",
    /^repositories\[1\]\.name: expected another name: a\.b\/c has the same label$/,
  ],
])("refuses %s", (text, message) => {
  expect(() => parseSettings(text)).toThrow(message);
});

it("goes on with what was right while the file is wrong, and takes up the next one", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "settings-")), "config.yaml");
  // At once, as the kubelet does it: a reader of a half-written file would refuse it.
  const write = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const followed: RepositorySettings[][] = [];
  const refused: string[] = [];
  const state: Configuration = { readAt: null, error: null };
  const stop = new AbortController();
  const watching = watchSettings(file, {
    every: 5,
    signal: stop.signal,
    state,
    follow: (settings) => void followed.push(settings),
    refuse: (message) => void refused.push(message),
  });
  await vi.waitFor(
    () => expect(state).toMatchObject({ readAt: null, error: expect.stringContaining("ENOENT") }),
    10_000,
  );
  write(one());
  await vi.waitFor(() => expect(state).toEqual({ readAt: expect.any(String), error: null }), 10_000);
  write("repositories: 7");
  await vi.waitFor(() => expect(state.error).toBe("repositories: expected a list of repositories"), 10_000);
  expect(followed).toHaveLength(1);
  write(one(", prune: true"));
  await vi.waitFor(() => expect(followed).toHaveLength(2), 10_000);
  expect(state.error).toBeNull();
  expect(followed[1]![0]!.prune).toBe(true);
  expect(refused).toHaveLength(2);
  stop.abort();
  await watching;
});
