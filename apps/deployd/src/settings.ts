import { parse } from "yaml";
import { z } from "zod";
import { dnsLabel, subdomain } from "./names.ts";
import { owner } from "./render.ts";

/*
 * The repositories that deployd keeps deployed. The file may change at any time; one with an error is refused as a whole, and
 * the last valid one is used.
 */

const text = (regex: RegExp, expected: string) =>
  z.string({ error: `expected ${expected}` }).regex(regex, { error: `expected ${expected}` });
const flag = z.boolean({ error: "expected true or false" }).default(false);

const webUrl = { error: "expected an http or https URL without a user or password in it" };

/** A path below a repository's root, or the root. No name begins with a dot, so none leads out of it. */
const folder = text(
  /^(\.|[A-Za-z0-9_-][\w.-]*(\/[A-Za-z0-9_-][\w.-]*)*)$/,
  "a folder of the repository such as deploy/manifests, or . for all of it",
);

/**
 * A valid name of a branch (git check-ref-format), which is no option, pattern or other reference. In YAML, `#` after a space
 * begins a comment, so such a name needs quotes.
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
    /** Whether objects with another namespace are deployed to this one. */
    overrideNamespace: flag,
    /** Whether objects of kinds that deployd may not deploy are left out, and the rest deployed. */
    skipUnsupported: flag,
    /** Objects of kubectl or Helm that the repository takes over, as `Kind/name`. */
    adopt: z
      .array(text(/^[A-Za-z]+\/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "Kind/name such as PersistentVolumeClaim/data"), {
        error: "expected a list of objects such as PersistentVolumeClaim/data",
      })
      .default([]),
    /** ServiceAccounts that its pods may use, in addition to `default` and those that it declares. */
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

/** Whether `fullName`, owner/repo, is an entry's repository: by its name, or by the end of its URL. */
export function isOf({ name, url }: RepositorySettings, fullName: string): boolean {
  const wanted = fullName.toLowerCase();
  const path = new URL(url).pathname.replace(/\/+$/, "").replace(/\.git$/, "");
  return name.toLowerCase() === wanted || path.toLowerCase().endsWith(`/${wanted}`);
}

/** The repositories in the file's text. Throws an error that lists all problems. */
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
