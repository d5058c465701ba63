// Proves that a change of the program shows what it does to each stack's manifests, and whether it would replace
// anything. The files change on purpose only: `npm run golden`, then read the difference. It does not prove that the
// manifests are right.
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { renderFiles } from "../../render/render.ts";
import { evaluated, stacks } from "./stacks.ts";

/** What of an object cannot be changed in place: another value means deleting the object and making it anew. */
function identity({ apiVersion, kind, metadata, ...object }: KubernetesObject) {
  const { spec = {} } = object;
  const of: Record<string, unknown> = {
    StatefulSet: {
      selector: spec.selector,
      serviceName: spec.serviceName,
      podManagementPolicy: spec.podManagementPolicy,
      volumeClaimTemplates: spec.volumeClaimTemplates,
      revisionHistoryLimit: spec.revisionHistoryLimit,
    },
    Deployment: { selector: spec.selector },
    PersistentVolumeClaim: { accessModes: spec.accessModes, storageClassName: spec.storageClassName },
    Service: { clusterIP: spec.clusterIP },
    Secret: { type: object.type },
    RoleBinding: { roleRef: object.roleRef },
  };
  const name = [metadata.namespace, metadata.name].filter(Boolean).join("/");
  return [`${apiVersion} ${kind} ${name}`, of[kind] ?? {}] as const;
}

describe.each(stacks)("stack %s", (stack) => {
  it("renders as it did", async () => {
    const files = renderFiles(stack, (await evaluated(stack)).manifests);
    files.delete("kustomization.yaml");
    const page = [...files].map(([name, text]) => `# ${name}\n${text.replace(/^# Rendered.*\n/, "")}`).join("---\n");
    await expect(page).toMatchFileSnapshot(`../golden/${stack}.yaml`);
  });

  it("would replace nothing that it did not", async () => {
    const { objects, evaluation } = await evaluated(stack);
    const jobs = (name: string) => name.replace(/-[0-9a-f]{8}$/, "");
    const page = {
      // A resource whose URN changes without an alias is deleted and made anew.
      urns: evaluation.resources.map(({ urn }) => urn.split("::").slice(2).join("::")).sort(),
      objects: Object.fromEntries(
        objects
          .filter(({ kind }) => kind !== "Job")
          .map(identity)
          .map(([name, fields]) => [jobs(name), fields])
          .sort(),
      ),
    };
    await expect(stringify(page)).toMatchFileSnapshot(`../golden/${stack}.identity.yaml`);
  });

  it("is the same whenever it is evaluated", async () => {
    const rendered = async () => [...renderFiles(stack, (await evaluated(stack, { fresh: true })).manifests)];
    expect(await rendered()).toEqual(await rendered());
  });
});
