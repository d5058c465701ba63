import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Part, Place } from "./part.ts";

/**
 * What a part's service account, or that of one of its components, may do in some namespaces. A pod uses it only where
 * it says that it talks to the API. Returns what must be there before such a pod starts.
 *
 * Rules that let it write ConfigMaps or Secrets, or run pods, belong in a namespace that holds none of the platform's:
 * a Role cannot tell them apart.
 */
export function permissions(
  part: Part,
  rules: k8s.types.input.rbac.v1.PolicyRule[],
  places: Place[],
  component?: string,
): pulumi.Resource[] {
  return places.map((place) => {
    const resource = part.named([component, place !== part.place && `in-${place.key}`].filter(Boolean).join("-"));
    const metadata = part.metadata(component, undefined, place.namespace);
    const options = part.child({ dependsOn: place.ready });
    const role = new k8s.rbac.v1.Role(resource, { metadata, rules }, options);
    return new k8s.rbac.v1.RoleBinding(
      resource,
      {
        metadata,
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role.metadata.name },
        subjects: [{ kind: "ServiceAccount", name: part.account(component), namespace: part.place.namespace }],
      },
      options,
    );
  });
}
