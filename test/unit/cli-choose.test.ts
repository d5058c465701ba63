/** Which cluster and which engine, from facts about a machine. How the facts are found is not tested here. */
import { expect, test } from "vitest";
import { type ClusterFacts, chooseCluster, chooseEngine, type EngineFacts } from "../../cli/choose.ts";
import { UserError } from "../../local/step.ts";

const cluster = (facts: Partial<ClusterFacts>) =>
  chooseCluster({ stack: "dev", docker: false, linux: true, root: true, ...facts });
const engine = (facts: Partial<EngineFacts>) => chooseEngine({ stack: "dev", pulumi: undefined, ...facts });

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

test.each([
  [{ pulumi: "on PATH" }, "pulumi", "it is on PATH"],
  [{ pulumi: "can be installed" }, "pulumi", "it can be installed"],
  [{ pulumi: "installed here before" }, "pulumi", "it was installed here before"],
  [{ pulumi: "built here before" }, "pulumi", "it was built here before"],
  [{}, "apply", "no pulumi is on PATH, and none can be downloaded"],
  [{ pulumi: "can be built" }, "apply", "no pulumi is on PATH, and none can be downloaded; --engine pulumi builds one"],
  [{ pulumi: "can be built", asked: "pulumi" }, "pulumi", "--engine asks for it"],
  [{ pulumi: "can be built", owner: "pulumi" }, "pulumi", "stack dev was brought up with it"],
  [{ pulumi: "on PATH", asked: "apply" }, "apply", "--engine asks for it"],
  [{ pulumi: "on PATH", owner: "apply" }, "apply", "stack dev was brought up with it"],
  [{ pulumi: "on PATH", owner: "pulumi", asked: "pulumi" }, "pulumi", "stack dev was brought up with it"],
] as [Partial<EngineFacts>, string, string][])("engine for %j", (facts, name, why) => {
  expect(engine(facts)).toEqual({ engine: name, why });
});

test.each([
  [
    { owner: "apply", asked: "pulumi", pulumi: "on PATH" },
    "--engine: found pulumi; expected apply, the engine that stack dev was brought up with: leave --engine out, or run `./platform destroy --stack dev` first",
  ],
  [
    { owner: "pulumi" },
    "engine pulumi: stack dev was brought up with it, and no pulumi is on PATH, none can be downloaded, and there is no Go to build one with; expected pulumi, https://www.pulumi.com/docs/install/, or Go 1.26 or newer",
  ],
  [
    { asked: "pulumi" },
    "engine pulumi: --engine asks for it, and no pulumi is on PATH, none can be downloaded, and there is no Go to build one with; expected pulumi, https://www.pulumi.com/docs/install/, or Go 1.26 or newer",
  ],
] as [Partial<EngineFacts>, string][])("no engine for %j", (facts, message) => {
  expect(() => engine(facts)).toThrow(new UserError(message));
});
