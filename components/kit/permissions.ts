import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Part, Place } from "./part.ts";

/**
 * What a part's service account may do in some places; by default, in its own. A pod uses it only where it says that
 * it talks to the API. Returns what must be there before such a pod starts.
 */
export function permissions(
  part: Part,
  rules: k8s.types.input.rbac.v1.PolicyRule[],
  places: Place[] = [part.place],
): pulumi.Resource[] {
  return places.map((place) => {
    const resource = place === part.place ? part.name : part.named(`in-${place.key}`);
    const metadata = part.metadata(undefined, undefined, place.namespace);
    const options = part.child({ dependsOn: place.ready });
    const role = new k8s.rbac.v1.Role(resource, { metadata, rules }, options);
    return new k8s.rbac.v1.RoleBinding(
      resource,
      {
        metadata,
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role.metadata.name },
        subjects: [{ kind: "ServiceAccount", name: part.serviceAccount, namespace: part.place.namespace }],
      },
      options,
    );
  });
}
