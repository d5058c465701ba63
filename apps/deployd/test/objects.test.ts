// Proves that nothing shows a Secret's values, if someone gives deployd the right to read Secrets.
// Does not prove that deployd has no such right: the program's test of its RBAC does.
import { expect, it } from "vitest";
import type { KubeObject } from "../src/kube.ts";
import { difference, withoutSecrets } from "../src/objects.ts";
import { FakeCluster } from "./fake-cluster.ts";

const secret = (value: string, more: object = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name: "s",
    annotations: { kept: "x", "kubectl.kubernetes.io/last-applied-configuration": `{"data":{"password":"${value}"}}` },
  },
  data: { password: value },
  stringData: { other: value },
  ...more,
});

it("hides the values of a Secret, kubectl's copy of them included", () => {
  const shown = withoutSecrets(secret("aHVudGVyMg=="));
  expect(JSON.stringify(shown)).not.toContain("aHVudGVyMg==");
  expect(shown).toMatchObject({
    metadata: { annotations: { kept: "x" } },
    data: { password: "(hidden)" },
    stringData: { other: "(hidden)" },
  });
});

it("says that hidden values differ, and shows what else does", async () => {
  const cluster = new FakeCluster();
  const created = await difference(cluster, secret("bmV3"), "apps");
  expect(created).toContain("password: (hidden)");
  await cluster.apply(secret("b2xk"), "apps");
  expect(await difference(cluster, secret("b2xk"), "apps")).toBe("");
  expect(await difference(cluster, secret("bmV3"), "apps")).toBe("Secret s: hidden values differ");
  const changed = await difference(cluster, secret("bmV3", { type: "Opaque" }), "apps");
  expect(changed).toContain("+type: Opaque");
  for (const text of [created, changed]) expect(text).not.toMatch(/b2xk|bmV3/);
});
