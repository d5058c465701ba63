import { z } from "zod";
import { auth, block, count, dnsLabel, enabled, image, objectName, resources, service } from "../fields.ts";

const text = (regex: RegExp, expected: string) =>
  z.string({ error: `expected ${expected}` }).regex(regex, { error: `expected ${expected}` });
const flag = () => z.boolean({ error: "expected true or false" }).default(false);

const url = "an http or https URL without a user or password in it";

const repository = block({
  name: text(
    /^(?=.{3,63}$)[A-Za-z0-9][A-Za-z0-9-]*\/[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?$/,
    "owner/repo, at most 63 letters, digits, dots, dashes and underscores",
  ).describe("The repository's name, `owner/repo`, as the webhook and the addresses of the API have it."),
  url: z
    .string({ error: `expected ${url}` })
    .superRefine((value, context) => {
      if (!/^https?:\/\/[^\s@]+$/.test(value))
        // What stands before the @ may be a password.
        context.addIssue({ code: "custom", input: value.replace(/\/\/.*@/, "//…@"), message: `expected ${url}` });
    })
    .describe("Where git clones it from."),
  branch: text(/^[A-Za-z0-9][\w./-]*$/, "a branch's name")
    .default("main")
    .describe("The branch that is deployed."),
  path: text(/^[A-Za-z0-9_-][\w.-]*(\/[A-Za-z0-9_-][\w.-]*)*$/, "a folder of the repository such as deploy/manifests")
    .default("deploy/manifests")
    .describe("Folder with manifests, a kustomization or a chart."),
  namespace: z
    .enum(["core", "apps"], { error: "expected core or apps" })
    .default("apps")
    .describe("Which of the stack's namespaces it is deployed in."),
  environment: dnsLabel
    .optional()
    .describe("Which overlay, `overlays/<environment>` beside the folder, or `values-<environment>.yaml` of a chart."),
  prune: flag().describe("Whether an object that is declared no more is deleted."),
  repairDrift: flag().describe("Whether an object that someone changed by hand is set back."),
  interval: count("seconds", 5, 86_400)
    .default(60)
    .describe("Seconds between two looks at the branch and the cluster. The webhook has it look at once."),
  token: text(/^[A-Za-z0-9_-][\w.-]*$/, "a key of the Secret that deployd.tokensSecret names")
    .optional()
    .describe("For a private repository: the key of its token in `deployd.tokensSecret`."),
});

export const deployd = block({
  enabled: enabled(),
  image: image("deployd"),
  repositories: z
    .array(repository, { error: "expected a list of repositories" })
    .superRefine((all, context) => {
      all.forEach(({ name }, index) => {
        if (all.findIndex((other) => other.name.toLowerCase() === name.toLowerCase()) < index)
          context.addIssue({
            code: "custom",
            path: [index, "name"],
            input: name,
            message: "expected each repository once",
          });
      });
    })
    .default([])
    .describe("The repositories that are kept deployed. deployd takes up a change by itself, within two minutes."),
  tokensSecret: objectName
    .optional()
    .describe("Name of a Secret in the part's namespace with a token for each private repository, by keys."),
  resources: resources({ cpu: "5m", memory: "144Mi", limit: "384Mi" }),
  service,
  auth: auth("the key secret, which webhooks are signed with"),
})
  .superRefine(({ repositories, tokensSecret }, context) => {
    repositories.forEach(({ token }, index) => {
      if (token && !tokensSecret)
        context.addIssue({
          code: "custom",
          path: ["repositories", index, "token"],
          input: token,
          message: "expected deployd.tokensSecret beside it, the Secret that has this key",
        });
    });
  })
  .prefault({});
