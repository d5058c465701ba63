// Proves what the rule on probes reports for servers with too little time to start.
// Does not prove how long a server takes to start: the cluster tests do.
import { expect, it } from "vitest";
import { probed } from "../../policy/rules/pods.ts";

const server = (startupProbe: object) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web" },
  spec: { template: { metadata: {}, spec: { containers: [{ name: "web", startupProbe, livenessProbe: {} }] } } },
});

it.each([
  [{ periodSeconds: 2, failureThreshold: 150 }, []],
  [{ periodSeconds: 2, failureThreshold: 60 }, ["web: it has 120 s to start; expected at least 300"]],
  [{ failureThreshold: 30 }, []],
  [{}, ["web: it has 30 s to start; expected at least 300"]],
])("a startup probe of %o", (probe, problems) => {
  expect(probed(server(probe))).toEqual(problems);
});
