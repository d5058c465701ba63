import { z } from "zod";

/* What the API answers with: checked on the way out, and described in the OpenAPI document. */

const time = z.iso.datetime().nullable();
const commit = z.string().nullable();

const brief = z.object({
  repository: z.string(),
  phase: z
    .enum(["pending", "deploying", "progressing", "ready", "drifted", "failed"])
    .describe("failed: the last attempt failed, and what ran before runs on"),
  message: z.string().describe("The state in a sentence"),
  commit: commit.describe("The commit that is deployed"),
  deployedAt: time,
  head: commit.describe(
    "The newest commit of the branch that was dealt with: deployed, found to change nothing, or failed",
  ),
  checkedAt: time.describe("When the branch was last looked at"),
  error: z
    .object({ message: z.string(), at: time, commit, retryAt: time })
    .nullable()
    .describe("What went wrong last; gone once an attempt succeeds"),
  partial: z
    .object({ commit: z.string(), applied: z.array(z.string()) })
    .nullable()
    .describe("What was applied of a commit before one of its objects was refused"),
  skipped: z.array(z.string()).describe("Objects that are left out, since deployd may not deploy their kind, and why"),
  drift: z.array(z.string()).describe("Objects that are not as the repository declares them"),
  settings: z.object({
    url: z.string(),
    branch: z.string(),
    path: z.string(),
    namespace: z.string(),
    environment: z.string().nullable(),
    prune: z.boolean(),
    repairDrift: z.boolean(),
    interval: z.number(),
  }),
});

export const deployments = z.object({
  configuration: z.object({
    readAt: time,
    error: z.string().nullable().describe("What is wrong with the file as it is now; what was right before goes on"),
  }),
  deployments: z.array(brief),
});

export const deployment = brief.extend({
  objects: z.array(
    z.object({
      apiVersion: z.string(),
      kind: z.string(),
      name: z.string(),
      ready: z.string().nullable().describe("How many are ready of how many"),
      done: z.boolean().describe("Whether there is nothing more to wait for"),
      message: z.string().nullable(),
    }),
  ),
  raw: z.array(z.record(z.string(), z.unknown())).optional().describe("The objects as Kubernetes has them"),
});

export const diff = z.object({
  repository: z.string(),
  commit: z.string(),
  changes: z.array(
    z.object({
      kind: z.string(),
      name: z.string(),
      change: z
        .enum(["create", "change", "replace", "delete"])
        .describe("replace: a field differs that cannot be changed, so the object would have to be deleted first"),
      diff: z.string().describe("A unified diff from what is there to what is declared; of replace, the field"),
    }),
  ),
});

export const triggered = z.object({ triggered: z.array(z.string()) });
export const status = z.object({ status: z.string() });
export const error = z.object({ error: z.string() });

/** What of a push is looked at, in the form in which GitHub, Gitea and Forgejo send it. */
export const push = z.object({
  ref: z.string().describe("refs/heads/<branch>"),
  repository: z.object({ full_name: z.string().describe("owner/repo") }),
});
