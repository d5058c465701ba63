import { PolicyPack, type ResourceValidationPolicy } from "@pulumi/policy";
import { type KubernetesObject, rules } from "./rules/index.ts";

/**
 * The rules as a CrossGuard policy pack, for `pulumi up --policy-pack policy`. Constructing a PolicyPack starts a server,
 * so nothing imports this file.
 */
new PolicyPack("data-platform", {
  policies: Object.entries(rules).map(
    ([name, rule]): ResourceValidationPolicy => ({
      name,
      description: `Objects keep the rule "${name}" of policy/rules.`,
      enforcementLevel: "mandatory",
      validateResource: ({ type, urn, props }, report) => {
        if (!type.startsWith("kubernetes:")) return;
        // Objects of third-party charts are exempt; their namespace enforces Pod Security. The URN contains the types of
        // the parents, which a label cannot forge.
        if (urn.includes("$kubernetes:helm.sh/v4:Chart$")) return;
        // Pulumi types the properties of any resource as a record.
        for (const problem of rule(props as KubernetesObject)) report(problem);
      },
    }),
  ),
});
