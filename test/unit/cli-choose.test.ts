// Proves which cluster is chosen from facts about a machine.
// Does not prove how the facts are found.
import { expect, test } from "vitest";
import { type ClusterFacts, chooseCluster } from "../../cli/choose.ts";
import { UserError } from "../../local/step.ts";

const cluster = (facts: Partial<ClusterFacts>) =>
  chooseCluster({ stack: "dev", docker: false, linux: true, root: true, ...facts });

test.each([
  [
    { asked: "mine", docker: true },
    { cluster: "context", context: "mine", why: "--context asks for it" },
  ],
  [
    { configured: "c", docker: true },
    { cluster: "context", context: "c", why: "Pulumi.dev.yaml names it" },
  ],
  [{ docker: true }, { cluster: "kind", why: "Docker answers" }],
  [
    { existing: "embedded", docker: true },
    { cluster: "embedded", why: "it exists already" },
  ],
  [{}, { cluster: "embedded", why: "no Docker answers, and this is Linux with root" }],
] as [Partial<ClusterFacts>, object][])("cluster for %j", (facts, choice) => {
  expect(cluster(facts)).toEqual(choice);
});

test.each([
  [
    { asked: "a", configured: "b" },
    "--context: found a; expected b, which Pulumi.dev.yaml names as kubernetes:context: leave --context out, or change the stack",
  ],
  [
    { existing: "kind" },
    "the local cluster is kind's, and Docker does not answer; expected a running Docker, or --context NAME",
  ],
  [
    { root: false },
    "no cluster to use: no Docker answers, and the embedded cluster needs root; expected --context NAME, a running Docker, or sudo",
  ],
  [
    { linux: false, root: false },
    "no cluster to use: no Docker answers, and the embedded cluster needs Linux and root; expected --context NAME, a running Docker",
  ],
] as [Partial<ClusterFacts>, string][])("no cluster for %j", (facts, message) => {
  expect(() => cluster(facts)).toThrow(new UserError(message));
});
