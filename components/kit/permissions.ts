import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Part } from "./part.ts";

/**
 * What a part's service account may do in its own namespace. A pod uses it only where it says that it talks to the
 * API. Returns what must be there before such a pod starts.
 */
export function permissions(part: Part, rules: k8s.types.input.rbac.v1.PolicyRule[]): pulumi.Resource[] {
  const role = new k8s.rbac.v1.Role(part.name, { metadata: part.metadata(), rules }, part.child());
  const binding = new k8s.rbac.v1.RoleBinding(
    part.name,
    {
      metadata: part.metadata(),
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role.metadata.name },
      subjects: [{ kind: "ServiceAccount", name: part.serviceAccount, namespace: part.place.namespace }],
    },
    part.child(),
  );
  return [binding];
}
