import { z } from "zod";
import { auth, block, count, dnsLabel, enabled, image, objectName, resources, service } from "../../config/fields.ts";
import { workload } from "../../config/pods.ts";
import { component } from "../kit/definition.ts";
import { deploydImages } from "./images.ts";

const text = (regex: RegExp, expected: string) =>
  z.string({ error: `expected ${expected}` }).regex(regex, { error: `expected ${expected}` });
const flag = () => z.boolean({ error: "expected true or false" }).default(false);

const url = "an http or https URL without a user or password in it";

/** What git takes for a branch (git check-ref-format), which leaves no room for an option or a pattern. */
const branch =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: git allows none
  /^(?![-/.])(?!.*(\.\.|\/\/|\/\.|@\{|\.lock(\/|$)))(?!@$)[^\x00-\x20\x7f~^:?*[\\]{1,200}(?<![/.])$/;

const repository = block({
  name: text(
    /^(?=.{3,63}$)[A-Za-z0-9][\w.-]*\/[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?$/,
    "owner/repo, at most 63 letters, digits, dots, dashes and underscores",
  ).describe(
    "The name in the API, `owner/repo`. For a second folder of a repository, another name with the same `url`: the webhook reaches each entry whose name or URL is the repository's.",
  ),
  url: z
    .string({ error: `expected ${url}` })
    .superRefine((value, context) => {
      if (!/^https?:\/\/[^\s@]+$/.test(value))
        // The text before the @ may be a password.
        context.addIssue({ code: "custom", input: value.replace(/\/\/.*@/, "//…@"), message: `expected ${url}` });
    })
    .describe("Where git clones it from."),
  branch: text(branch, "a branch's name, as git takes it")
    .default("main")
    .describe("The branch to deploy. In quotes if it contains `#`."),
  path: text(
    /^(\.|[A-Za-z0-9_-][\w.-]*(\/[A-Za-z0-9_-][\w.-]*)*)$/,
    "a folder of the repository such as deploy/manifests, or . for all of it",
  )
    .default("deploy/manifests")
    .describe("Folder with manifests, a kustomization or a chart."),
  namespace: z
    .never({
      error:
        "expected no namespace here: everything is deployed in the namespace that namespaces.deployed names, apart from the platform's Secrets and accounts",
    })
    .optional()
    .describe("Never set: repositories are deployed in `namespaces.deployed`."),
  environment: dnsLabel
    .optional()
    .describe("Which overlay, `overlays/<environment>` beside the folder, or `values-<environment>.yaml` of a chart."),
  prune: flag().describe("Whether an object that is no longer declared is deleted."),
  repairDrift: flag().describe("Whether a change made by hand is reverted."),
  overrideNamespace: flag().describe(
    "Whether an object of another namespace is deployed in this one. Otherwise it is refused.",
  ),
  skipUnsupported: flag().describe(
    "Whether objects of kinds that deployd may not deploy, such as Secrets and Roles, are left out and the rest deployed. Otherwise the commit is refused.",
  ),
  adopt: z
    .array(text(/^[A-Za-z]+\/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "Kind/name such as PersistentVolumeClaim/data"), {
      error: "expected a list of objects such as PersistentVolumeClaim/data",
    })
    .default([])
    .describe("Objects created by kubectl or Helm that the repository takes over, as `Kind/name`."),
  serviceAccounts: z
    .array(dnsLabel, { error: "expected a list of names of ServiceAccounts" })
    .default([])
    .describe("ServiceAccounts that its pods may use beside `default` and those that it declares."),
  interval: count("seconds", 5, 86_400)
    .default(60)
    .describe("Seconds between two checks of the branch and the cluster. The webhook triggers one at once."),
  token: text(/^[A-Za-z0-9_-][\w.-]*$/, "a key of the Secret that deployd.tokensSecret names")
    .optional()
    .describe("For a private repository: the key of its token in `deployd.tokensSecret`."),
});

const config = block({
  enabled: enabled(),
  // Node.js with git, Helm and kustomize: apps/deployd/Dockerfile.
  image: image("data-platform/deployd:1.0.0"),
  repositories: z
    .array(repository, { error: "expected a list of repositories" })
    .superRefine((all, context) => {
      // What its objects are labelled with.
      const label = (name: string) => name.toLowerCase().replace("/", ".");
      all.forEach(({ name }, index) => {
        const before = all.slice(0, index).find((other) => label(other.name) === label(name));
        if (!before) return;
        const same = before.name.toLowerCase() === name.toLowerCase();
        context.addIssue({
          code: "custom",
          path: [index, "name"],
          input: name,
          message: same
            ? "expected each name once; for a second folder of a repository, another name with the same url"
            : `expected another name: ${before.name} has the same label`,
        });
      });
    })
    .default([])
    .describe("The repositories that are kept deployed. deployd takes up a change by itself, within two minutes."),
  tokensSecret: objectName
    .optional()
    .describe("Name of a Secret in the component's namespace with a token for each private repository, by keys."),
  resources: resources({ cpu: "10m", memory: "144Mi", limit: "384Mi" }),
  ...workload({
    priority: "web",
    sets: { NODE_ENV: "", NODE_OPTIONS: "deployd.resources.limits.memory" },
  }),
  service,
  auth: auth(
    "the keys secret, which webhooks are signed with, and token, which a sync is asked for with; each of at least 16 characters",
  ),
})
  .superRefine(({ repositories, tokensSecret }, context) => {
    repositories.forEach(({ token, url }, index) => {
      if (token && !url.startsWith("https://"))
        context.addIssue({
          code: "custom",
          path: ["repositories", index, "url"],
          input: url,
          message: "expected an https URL beside token: over http, anyone on the network path could read the token",
        });
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

export const deployd = component({
  title: "deployd",
  summary: "Deploys manifests, kustomizations and charts from git repositories",
  folder: "deployd",
  images: deploydImages,
  namespace: "apps",
  config,
});
