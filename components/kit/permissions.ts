import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { unless } from "../../config/derived.ts";
import type { Component, NamespaceContext } from "./component.ts";
import { serviceAccount } from "./service-account.ts";

/**
 * Grants `rules` in `namespaces` to a component's service account, or to that of one `role`. Pods get its token only
 * with `talksToApi`. Returns the RoleBindings, for such pods to depend on: none for an existing account, which has its
 * rights from the one who made it.
 *
 * Grant writing of ConfigMaps or Secrets, and running pods, only in a namespace without other objects of the platform:
 * a Role cannot tell them apart.
 */
export function permissions(
  component: Component,
  rules: k8s.types.input.rbac.v1.PolicyRule[],
  namespaces: NamespaceContext[],
  role?: string,
): pulumi.Resource[] {
  const granted = () => namespaces.map((namespace) => grant(component, rules, namespace, role));
  return unless(component.accountOf(role).name, granted) ?? [];
}

function grant(
  component: Component,
  rules: k8s.types.input.rbac.v1.PolicyRule[],
  namespace: NamespaceContext,
  role: string | undefined,
): k8s.rbac.v1.RoleBinding {
  const resource = component.named(
    [role, namespace !== component.namespace && `in-${namespace.key}`].filter(Boolean).join("-"),
  );
  const metadata = component.metadata(role, undefined, namespace.name);
  const options = component.child({ dependsOn: namespace.ready });
  const granted = new k8s.rbac.v1.Role(resource, { metadata, rules }, options);
  return new k8s.rbac.v1.RoleBinding(
    resource,
    {
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: granted.metadata.name },
      subjects: [
        { kind: "ServiceAccount", name: serviceAccount(component, role), namespace: component.namespace.name },
      ],
    },
    options,
  );
}
