// Proves what deployd's configuration block may contain, and the message of each refusal.
// Does not prove that deployd accepts the rest: the cluster tests do.
import { expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { parseConfig } from "../../config/problems.ts";

const repository = { name: "shop/web", url: "https://git.example.com/shop/web.git" };
const config = (changes: object, beside = {}) =>
  parseConfig("test", { deployd: { repositories: [{ ...repository, ...changes }], ...beside } }).deployd;

const refusal = (...changes: Parameters<typeof config>): string => {
  try {
    config(...changes);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
};

it("completes a repository with the defaults", () => {
  expect(config({}).repositories).toEqual([
    {
      ...repository,
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

it.each([
  ["{ name: web }", 'deployd.repositories[0].name: found "web"; expected owner/repo, at most 63 letters'],
  ["{ url: 'git@example.com:shop/web.git' }", "expected an http or https URL without a user or password in it"],
  [
    "{ url: 'https://me:secret@example.com/a.git' }",
    'found "https://…@example.com/a.git"; expected an http or https URL without a user or password in it',
  ],
  ["{ path: ../other }", "expected a folder of the repository such as deploy/manifests, or . for all of it"],
  ["{ branch: --upload-pack=x }", "expected a branch's name, as git takes it"],
  ["{ adopt: [data] }", "expected Kind/name such as PersistentVolumeClaim/data"],
  ["{ serviceAccounts: [../x] }", "serviceAccounts[0]"],
  [
    "{ namespace: core }",
    'deployd.repositories[0].namespace: found "core"; expected no namespace here: everything is deployed in the namespace that namespaces.deployed names, apart from the platform\'s Secrets and accounts',
  ],
  ["{ interval: 1 }", "expected a whole number of seconds from 5 to 86400"],
  ["{ token: shop }", "expected deployd.tokensSecret beside it, the Secret that has this key"],
  ["{ brunch: main }", "brunch: unknown key; did you mean branch?"],
])("refuses a repository with %s", (changes, message) => {
  expect(refusal(parse(changes))).toContain(message);
});

it("refuses a duplicate repository, however its URL is written", () => {
  expect(refusal({}, { repositories: [repository, { ...repository, name: "Shop/Web" }] })).toContain(
    "expected each name once; for a second folder of a repository, another name with the same url",
  );
  const names = ["a.b/c", "a/b.c"].map((name) => ({ ...repository, name }));
  expect(refusal(names[0] ?? {}, { repositories: names })).toContain("expected another name: a.b/c has the same label");
});

it("refuses a token for a URL without TLS", () => {
  const changes = { token: "shop", url: "http://git.example.com/shop/web.git" };
  expect(refusal(changes, { tokensSecret: "git-tokens" })).toContain(
    'deployd.repositories[0].url: found "http://git.example.com/shop/web.git"; expected an https URL beside token',
  );
});

it.each([
  ["an owner with an underscore", { name: "my_team/app" }],
  ["an owner with a dot", { name: "my.team/app" }],
  ["a whole repository", { path: "." }],
  ["a branch with #", { branch: "feature/#12" }],
  ["a branch with @ and +", { branch: "user@host+1" }],
])("accepts %s", (_, changes) => {
  expect(config(changes).repositories[0]).toMatchObject(changes);
});

it("accepts a token if a Secret with tokens is configured", () => {
  expect(stringify(config({ token: "shop" }, { tokensSecret: "git-tokens" }))).toContain("token: shop");
});
