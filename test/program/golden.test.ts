// Proves that a change of the program shows its effect on each stack's manifests and what it would replace. `npm run
// golden` accepts it; read the difference.
// Does not prove that the manifests are right.
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { immutableValues } from "../../config/immutable-fields.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { renderFiles } from "../../render/render.ts";
import { evaluated, stacks } from "./stacks.ts";

/** Immutable fields: another value replaces the object. */
function identity(object: KubernetesObject) {
  const { apiVersion, kind, metadata } = object;
  const name = [metadata.namespace, metadata.name].filter(Boolean).join("/");
  const fields = immutableValues(object).map(([path, value]) => [path.replace("spec.", ""), value]);
  return [`${apiVersion} ${kind} ${name}`, Object.fromEntries(fields)] as const;
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
      // A resource whose URN changes without an alias is deleted and created again.
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
