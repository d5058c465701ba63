// Proves that a rendered stack can be applied in one go: each namespace comes before what is in it, and every kind is one
// that a cluster has without a CustomResourceDefinition.
// Does not prove that kubectl applies it: the cluster tests do.
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { renderFiles } from "../../render/render.ts";
import { evaluated, stacks } from "./stacks.ts";

/** API groups of Kubernetes itself have no dot, or end in k8s.io. */
const isOwn = (apiVersion: string) => /^([a-z]+\/)?v\d|\.k8s\.io\/v\d/.test(apiVersion);

describe.each(stacks)("the rendering of stack %s", (stack) => {
  it("can be applied in one go", async () => {
    const files = renderFiles(stack, (await evaluated(stack)).manifests);
    const { resources, sortOptions } = parse(files.get("kustomization.yaml") ?? "");
    // Otherwise kustomize sorts by kinds that it knows.
    expect(sortOptions).toEqual({ order: "fifo" });
    const known = new Set<string>();
    for (const name of resources as string[]) {
      const { apiVersion, kind, metadata } = parse(files.get(name) ?? "");
      expect(isOwn(apiVersion), `${name}: ${apiVersion}`).toBe(true);
      if (kind === "Namespace") known.add(metadata.name);
      else if (metadata.namespace) expect([...known], `${name}: before its namespace`).toContain(metadata.namespace);
    }
    expect(known.size).toBeGreaterThan(1);
  });
});
