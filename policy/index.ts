import { PolicyPack, type ResourceValidationPolicy } from "@pulumi/policy";
import { type KubernetesObject, rules } from "./rules/index.ts";

/**
 * The rules as a CrossGuard pack: `pulumi up --policy-pack policy` refuses what breaks one, whoever wrote it.
 * Building a pack starts a server, so nothing else imports this file.
 */
new PolicyPack("data-platform", {
  policies: Object.entries(rules).map(
    ([name, rule]): ResourceValidationPolicy => ({
      name,
      description: `Objects keep the rule "${name}" of policy/rules.`,
      enforcementLevel: "mandatory",
      validateResource: ({ type, urn, props }, report) => {
        if (!type.startsWith("kubernetes:")) return;
        // A chart of someone else's says what it says; what its pods may do, their namespace decides. A resource's URN
        // names the types of its parents, which no label can pretend.
        if (urn.includes("$kubernetes:helm.sh/v4:Chart$")) return;
        for (const problem of rule(props as KubernetesObject)) report(problem);
      },
    }),
  ),
});
