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
      validateResource: ({ type, props }, report) => {
        if (!type.startsWith("kubernetes:")) return;
        // A chart of someone else's says what it says; what its pods may do, their namespace decides.
        if ((props as KubernetesObject).metadata?.labels?.["app.kubernetes.io/managed-by"] === "Helm") return;
        for (const problem of rule(props as KubernetesObject)) report(problem);
      },
    }),
  ),
});
