// Proves how the cluster's list of APIs is read.
// Does not prove that a real API server answers so: the cluster tests do.
import { expect, it } from "vitest";
import { served } from "../src/kube.ts";

it("names what a cluster serves as charts ask for it", () => {
  const of = (version: string, ...kinds: string[]) => ({
    version,
    resources: kinds.map((kind) => ({ responseKind: { kind } })),
  });
  const core = { items: [{ metadata: {}, versions: [of("v1", "Pod", "Service")] }] };
  const groups = {
    items: [
      { metadata: { name: "apps" }, versions: [of("v1", "Deployment", "Deployment")] },
      { metadata: { name: "example.com" }, versions: [of("v2", "Thing"), of("v1beta1")] },
    ],
  };
  expect(served([core, groups])).toEqual([
    ...["v1", "v1/Pod", "v1/Service", "apps/v1", "apps/v1/Deployment"],
    ...["example.com/v2", "example.com/v2/Thing", "example.com/v1beta1"],
  ]);
});
