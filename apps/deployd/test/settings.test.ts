// Proves what the configuration file may say, in which words it is refused, and that a bad one changes nothing.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { parseSettings, type RepositorySettings } from "../src/settings.ts";
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
      interval: 60,
    },
  ]);
});

it.each([
  ["repositories: {", /^not YAML: /],
  ["a: 1", /^repositories: expected a list of repositories; the file: Unrecognized key: "a"$/],
  [one(", path: ../other"), /^repositories\[0\]\.path: expected a folder of the repository such as deploy\/manifests$/],
  [one(", path: /etc"), /^repositories\[0\]\.path: expected a folder/],
  [one(", branch: --upload-pack=x"), /^repositories\[0\]\.branch: expected a branch's name$/],
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
    /^repositories\[1\]\.name: expected each repository once$/,
  ],
])("refuses %s", (text, message) => {
  expect(() => parseSettings(text)).toThrow(message);
});

it("goes on with what was right while the file is wrong, and takes up the next one", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "settings-")), "config.yaml");
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
  await vi.waitFor(() => expect(state).toMatchObject({ readAt: null, error: expect.stringContaining("ENOENT") }));
  writeFileSync(file, one());
  await vi.waitFor(() => expect(state).toEqual({ readAt: expect.any(String), error: null }));
  writeFileSync(file, "repositories: 7");
  await vi.waitFor(() => expect(state.error).toBe("repositories: expected a list of repositories"));
  expect(followed).toHaveLength(1);
  writeFileSync(file, one(", prune: true"));
  await vi.waitFor(() => expect(followed).toHaveLength(2));
  expect(state.error).toBeNull();
  expect(followed[1]![0]!.prune).toBe(true);
  expect(refused).toHaveLength(2);
  stop.abort();
  await watching;
});
