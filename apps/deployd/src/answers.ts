import { z } from "zod";

/* The API's responses: validated before they are sent, and described in the OpenAPI document. */

const time = z.iso.datetime().nullable();
const commit = z.string().nullable();

const brief = z.object({
  repository: z.string(),
  phase: z
    .enum(["pending", "deploying", "progressing", "ready", "drifted", "failed"])
    .describe("failed: the last attempt failed, and the version before still runs"),
  message: z.string().describe("The state in a sentence"),
  commit: commit.describe("The commit that is deployed"),
  deployedAt: time,
  head: commit.describe(
    "The newest commit of the branch that was dealt with: deployed, found to change nothing, or failed",
  ),
  checkedAt: time.describe("When the branch was last checked"),
  error: z
    .object({ message: z.string(), at: time, commit, retryAt: time })
    .nullable()
    .describe("The last failure; null after an attempt that succeeds"),
  partial: z
    .object({ commit: z.string(), applied: z.array(z.string()) })
    .nullable()
    .describe("What was applied of a commit before one of its objects was refused"),
  skipped: z.array(z.string()).describe("Objects that are left out, since deployd may not deploy their kind, and why"),
  drift: z.array(z.string()).describe("Objects that differ from what the repository declares"),
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
    error: z.string().nullable().describe("What is wrong with the current file; the last valid one is used"),
  }),
  deployments: z.array(brief),
});

export const deployment = brief.extend({
  objects: z.array(
    z.object({
      apiVersion: z.string(),
      kind: z.string(),
      name: z.string(),
      ready: z.string().nullable().describe("Ready and wanted replicas, such as 1/2"),
      done: z.boolean().describe("Whether it is as declared and ready"),
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
      diff: z.string().describe("A unified diff from the cluster to the repository; for replace, the field"),
    }),
  ),
});

export const triggered = z.object({ triggered: z.array(z.string()) });
export const status = z.object({ status: z.string() });
export const error = z.object({ error: z.string() });

/** The fields of a push that are used, as GitHub, Gitea and Forgejo send them. */
export const push = z.object({
  ref: z.string().describe("refs/heads/<branch>"),
  repository: z.object({ full_name: z.string().describe("owner/repo") }),
});
