import { parse } from "yaml";
import { z } from "zod";

/*
 * What deployd is told to keep. The file may change at any time; one that is wrong is refused as a whole, and what was
 * right before goes on.
 */

const text = (regex: RegExp, expected: string) =>
  z.string({ error: `expected ${expected}` }).regex(regex, { error: `expected ${expected}` });
const flag = z.boolean({ error: "expected true or false" }).default(false);

/** A path below a repository's root: no dots at the start of a name, so none leads out of it. */
const folder = text(
  /^[A-Za-z0-9_-][\w.-]*(\/[A-Za-z0-9_-][\w.-]*)*$/,
  "a folder of the repository such as deploy/manifests",
);

export const repositorySettings = z.strictObject({
  name: text(
    /^(?=.{3,63}$)[A-Za-z0-9][A-Za-z0-9-]*\/[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?$/,
    "owner/repo, at most 63 letters, digits, dots, dashes and underscores",
  ),
  url: text(/^https?:\/\/[^\s@]+$/, "an http or https URL without a user or password in it"),
  branch: text(/^[A-Za-z0-9][\w./-]*$/, "a branch's name").default("main"),
  path: folder.default("deploy/manifests"),
  namespace: text(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "a namespace's name"),
  environment: text(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "an environment's name such as test").optional(),
  prune: flag,
  repairDrift: flag,
  interval: z
    .int({ error: "expected whole seconds from 5 to 86400" })
    .min(5, { error: "expected whole seconds from 5 to 86400" })
    .max(86_400, { error: "expected whole seconds from 5 to 86400" })
    .default(60),
  /** The key of the Secret with tokens, for a private repository. */
  token: text(/^[A-Za-z0-9_-][\w.-]*$/, "a key of the Secret with tokens").optional(),
});

const file = z.strictObject({
  repositories: z
    .array(repositorySettings, { error: "expected a list of repositories" })
    .superRefine((all, context) => {
      const seen = new Set<string>();
      for (const [index, { name }] of all.entries()) {
        if (seen.has(name.toLowerCase()))
          context.addIssue({
            code: "custom",
            path: [index, "name"],
            input: name,
            message: "expected each repository once",
          });
        seen.add(name.toLowerCase());
      }
    }),
});

export type RepositorySettings = z.output<typeof repositorySettings>;

/** The repositories that the file's text names, or an error that lists all that is wrong with it. */
export function parseSettings(contents: string): RepositorySettings[] {
  let value: unknown;
  try {
    value = parse(contents);
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
