import { UserError } from "../local/step.ts";

/** Which cluster a stack goes to, and the reason in words. */
export interface Target {
  cluster: "context" | "kind" | "embedded";
  /** For `context`: its name. The other two come with a kubeconfig of their own. */
  context?: string;
  why: string;
}

export interface ClusterFacts {
  /** `--context`. */
  asked?: string;
  /** `kubernetes:context` of the stack's configuration. */
  configured?: string;
  stack: string;
  /** The local cluster that is there already, running or not. */
  existing?: "kind" | "embedded";
  docker: boolean;
  linux: boolean;
  root: boolean;
}

/**
 * The cluster that was asked for; else the local one that exists, with its data, whatever has become possible since;
 * else kind where Docker answers; else the embedded cluster.
 */
export function chooseCluster(facts: ClusterFacts): Target {
  const { asked, configured, stack } = facts;
  if (asked && configured && asked !== configured)
    throw new UserError(
      `--context: found ${asked}; expected ${configured}, which Pulumi.${stack}.yaml names as kubernetes:context: ` +
        "leave --context out, or change the stack",
    );
  if (asked) return { cluster: "context", context: asked, why: "--context asks for it" };
  if (configured) return { cluster: "context", context: configured, why: `Pulumi.${stack}.yaml names it` };
  if (facts.existing === "kind" && !facts.docker)
    throw new UserError(
      "the local cluster is kind's, and Docker does not answer; expected a running Docker, or --context NAME",
    );
  if (facts.existing) return { cluster: facts.existing, why: "it exists already" };
  if (facts.docker) return { cluster: "kind", why: "Docker answers" };
  if (facts.linux && facts.root) return { cluster: "embedded", why: "no Docker answers, and this is Linux with root" };
  throw new UserError(
    "no cluster to use: no Docker answers, and the embedded cluster needs " +
      `${facts.linux ? "root" : "Linux and root"}; expected --context NAME, a running Docker${facts.linux ? ", or sudo" : ""}`,
  );
}

export type Engine = "pulumi" | "apply";

/** A pulumi that is on this machine, or how it can come here. */
export type FoundPulumi = PresentPulumi | "can be installed" | "can be built";
export type PresentPulumi = "on PATH" | "installed here before" | "built here before";

export interface EngineFacts {
  stack: string;
  /** `--engine`. */
  asked?: Engine;
  pulumi: FoundPulumi | undefined;
  /** Whose objects the stack's are already. */
  owner?: Engine;
}

/**
 * Pulumi if it is on this machine or can be downloaded; else server-side apply. A stack stays with the engine that made
 * it: another one knows neither its passwords nor what it may delete.
 */
export function chooseEngine({ stack, asked, pulumi, owner }: EngineFacts): { engine: Engine; why: string } {
  if (owner && asked && asked !== owner)
    throw new UserError(
      `--engine: found ${asked}; expected ${owner}, the engine that stack ${stack} was brought up with: leave --engine out, ` +
        `or run \`./platform destroy --stack ${stack}\` first`,
    );
  if ((asked ?? owner) === "pulumi" && !pulumi)
    throw new UserError(
      `engine pulumi: ${asked ? "--engine asks for it" : `stack ${stack} was brought up with it`}, and no pulumi is on PATH, ` +
        "none can be downloaded, and there is no Go to build one with; " +
        "expected pulumi, https://www.pulumi.com/docs/install/, or Go 1.26 or newer",
    );
  if (owner) return { engine: owner, why: `stack ${stack} was brought up with it` };
  if (asked) return { engine: asked, why: "--engine asks for it" };
  switch (pulumi) {
    case undefined:
      return { engine: "apply", why: "no pulumi is on PATH, and none can be downloaded" };
    // It takes a quarter of an hour or more: only on request.
    case "can be built":
      return { engine: "apply", why: "no pulumi is on PATH, and none can be downloaded; --engine pulumi builds one" };
    case "built here before":
    case "installed here before":
      return { engine: "pulumi", why: `it was ${pulumi}` };
    default:
      return { engine: "pulumi", why: `it ${pulumi === "on PATH" ? "is on PATH" : pulumi}` };
  }
}
