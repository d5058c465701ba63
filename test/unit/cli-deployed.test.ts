// Proves what `status` and `credentials` read from Pulumi's state, and the links that `up` and `status` print.
// Does not prove that Pulumi writes it this way: the cluster tests run both commands on a real stack.
import { describe, expect, it } from "vitest";
import type { StateResource } from "../../cli/backend.ts";
import { pageLinks } from "../../cli/component-states.ts";
import { ofState } from "../../cli/deployed.ts";

const endpoints = { redis: { namespace: "dev-core", service: "redis", host: "redis.dev-core", port: 6379 } };
const secrets = { redis: { namespace: "dev-core", name: "redis" } };
const stack = (outputs: Record<string, unknown>): StateResource => ({
  urn: "urn:pulumi:dev::data-platform::pulumi:pulumi:Stack::data-platform-dev",
  type: "pulumi:pulumi:Stack",
  custom: false,
  outputs,
});
const object = (name: string) => ({
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  metadata: { name, namespace: "dev-core", labels: { "app.kubernetes.io/name": "redis" } },
});
const statefulSet = (name: string, more: Partial<StateResource> = {}): StateResource => ({
  urn: `urn:pulumi:dev::data-platform::kubernetes:apps/v1:StatefulSet::${name}`,
  type: "kubernetes:apps/v1:StatefulSet",
  custom: true,
  inputs: object(name),
  ...more,
});

describe("a stack's contents in Pulumi's state", () => {
  it("are its outputs and its Kubernetes objects", () => {
    const password = {
      urn: "",
      type: "random:index/randomPassword:RandomPassword",
      custom: true,
      inputs: { length: 32 },
    };
    const component = { urn: "", type: "data-platform:index:Redis", custom: false };
    expect(ofState([stack({ endpoints, secrets }), component, password, statefulSet("redis")])).toEqual({
      endpoints,
      secrets,
      objects: [object("redis")],
    });
  });

  it("exclude objects that were replaced and are not deleted yet", () => {
    const resources = [stack({ endpoints, secrets }), statefulSet("new"), statefulSet("old", { delete: true })];
    expect(ofState(resources)?.objects).toEqual([object("new")]);
  });

  it("are unknown before an update has completed, and without a state", () => {
    expect(ofState([stack({}), statefulSet("redis")])).toBeUndefined();
    expect(ofState([])).toBeUndefined();
  });
});

describe("the links to pages", () => {
  const route = (kind: string, spec: object) => ({ apiVersion: "v1", kind, metadata: { name: "x" }, spec });

  it("are one for each host, by HTTPS with a certificate", () => {
    const tls = [{ hosts: ["b.example.com"], secretName: "b" }];
    const links = pageLinks([
      route("Ingress", { tls, rules: [{ host: "b.example.com" }] }),
      route("Ingress", { rules: [{ host: "a.example.com" }] }),
      route("HTTPRoute", { hostnames: ["c.example.com"], rules: [{ backendRefs: [] }] }),
      route("HTTPRoute", { hostnames: ["c.example.com"], rules: [{ filters: [{}] }] }),
      route("Service", {}),
    ]);
    expect(links).toBe("\n\nin a browser:\nhttp://a.example.com\nhttps://b.example.com\nhttps://c.example.com");
  });

  it("are left out where no page has a host", () => {
    expect(pageLinks([route("Service", {})])).toBe("");
  });
});
