// Proves what deployd's block of the configuration may say, and the words of each refusal.
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

it("fills in what is left out of a repository", () => {
  expect(config({}).repositories).toEqual([
    {
      ...repository,
      branch: "main",
      path: "deploy/manifests",
      prune: false,
      repairDrift: false,
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
  ["{ path: ../other }", "expected a folder of the repository such as deploy/manifests"],
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

it("refuses a repository that is there twice, however it is written", () => {
  expect(refusal({}, { repositories: [repository, { ...repository, name: "Shop/Web" }] })).toContain(
    "expected each repository once",
  );
});

it("takes a token where there is a Secret with tokens", () => {
  expect(stringify(config({ token: "shop" }, { tokensSecret: "git-tokens" }))).toContain("token: shop");
});
