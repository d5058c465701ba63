import { parse } from "yaml";
import { z } from "zod";
import { dnsLabel, subdomain } from "./names.ts";
import { owner } from "./render.ts";

/*
 * What deployd is told to keep. The file may change at any time; one that is wrong is refused as a whole, and what was
 * right before goes on.
 */

const text = (regex: RegExp, expected: string) =>
  z.string({ error: `expected ${expected}` }).regex(regex, { error: `expected ${expected}` });
const flag = z.boolean({ error: "expected true or false" }).default(false);

const webUrl = { error: "expected an http or https URL without a user or password in it" };

/** A path below a repository's root, or the root: no dots at the start of a name, so none leads out of it. */
const folder = text(
  /^(\.|[A-Za-z0-9_-][\w.-]*(\/[A-Za-z0-9_-][\w.-]*)*)$/,
  "a folder of the repository such as deploy/manifests, or . for all of it",
);

/**
 * What git takes for a branch (git check-ref-format). Its own rules leave no room for an option, a pattern, or another
 * reference. Written for a YAML reader: `#` begins a comment after a space, so such a name stands in quotes.
 */
const branch = text(
  // biome-ignore lint/suspicious/noControlCharactersInRegex: git allows none
  /^(?![-/.])(?!.*(\.\.|\/\/|\/\.|@\{|\.lock(\/|$)))(?!@$)[^\x00-\x20\x7f~^:?*[\\]{1,200}(?<![/.])$/,
  "a branch's name, as git takes it",
);

const account = text(subdomain, "the name of a ServiceAccount");

export const repositorySettings = z
  .strictObject({
    name: text(
      /^(?=.{3,63}$)[A-Za-z0-9][\w.-]*\/[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?$/,
      "owner/repo, at most 63 letters, digits, dots, dashes and underscores",
    ),
    url: z.string(webUrl).refine((url) => /^https?:\/\/[^\s@]+$/.test(url) && URL.canParse(url), webUrl),
    branch: branch.default("main"),
    path: folder.default("deploy/manifests"),
    namespace: text(dnsLabel, "a namespace's name"),
    environment: text(dnsLabel, "an environment's name such as test").optional(),
    prune: flag,
    repairDrift: flag,
    /** Whether objects that name another namespace are deployed in this one all the same. */
    overrideNamespace: flag,
    /** Whether objects of kinds that deployd may not deploy are left out, and the rest deployed. */
    skipUnsupported: flag,
    /** Objects that were made by kubectl or Helm and become the repository's, as `Kind/name`. */
    adopt: z
      .array(text(/^[A-Za-z]+\/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "Kind/name such as PersistentVolumeClaim/data"), {
        error: "expected a list of objects such as PersistentVolumeClaim/data",
      })
      .default([]),
    /** Accounts that its pods may run under beside `default` and those that it declares. */
    serviceAccounts: z.array(account, { error: "expected a list of names of ServiceAccounts" }).default([]),
    interval: z
      .int({ error: "expected whole seconds from 5 to 86400" })
      .min(5, { error: "expected whole seconds from 5 to 86400" })
      .max(86_400, { error: "expected whole seconds from 5 to 86400" })
      .default(60),
    /** The key of the Secret with tokens, for a private repository. */
    token: text(/^[A-Za-z0-9_-][\w.-]*$/, "a key of the Secret with tokens").optional(),
  })
  .superRefine(({ url, token }, context) => {
    if (token !== undefined && !url.startsWith("https://"))
      context.addIssue({
        code: "custom",
        path: ["url"],
        input: url,
        message: "expected an https URL beside token: over http, anyone on the way could read the token",
      });
  });

const file = z
  .strictObject({ repositories: z.array(repositorySettings, { error: "expected a list of repositories" }) })
  .superRefine(({ repositories }, context) => {
    const seen = new Map<string, string>();
    for (const [index, { name }] of repositories.entries()) {
      const label = owner({ name }).toLowerCase();
      const before = seen.get(label);
      if (before !== undefined) {
        const same = before.toLowerCase() === name.toLowerCase();
        context.addIssue({
          code: "custom",
          path: ["repositories", index, "name"],
          input: name,
          message: same
            ? "expected each name once; for a second folder of a repository, another name with the same url"
            : `expected another name: ${before} has the same label`,
        });
      }
      seen.set(label, name);
    }
  });

export type RepositorySettings = z.output<typeof repositorySettings>;

/** Whether a push to `fullName`, owner/repo, concerns an entry: by its name, or by the end of its URL. */
export function isOf({ name, url }: RepositorySettings, fullName: string): boolean {
  const wanted = fullName.toLowerCase();
  const path = new URL(url).pathname.replace(/\/+$/, "").replace(/\.git$/, "");
  return name.toLowerCase() === wanted || path.toLowerCase().endsWith(`/${wanted}`);
}

/** The repositories that the file's text names, or an error that lists all that is wrong with it. */
export function parseSettings(contents: string): RepositorySettings[] {
  let value: unknown;
  try {
    value = parse(contents, { logLevel: "error" });
  } catch (error) {
    throw new Error(`not YAML: ${(error as Error).message.split("\n")[0]}`);
  }
  const result = file.safeParse(value);
  if (result.success) return result.data.repositories;
  throw new Error(
    result.error.issues
      .map(({ path, message }) => `${path.join(".").replace(/\.(\d+)/g, "[$1]") || "the file"}: ${message}`)
      .join("; "),
  );
}
