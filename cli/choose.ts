import { UserError } from "../local/step.ts";

/** The cluster that a stack is deployed to, and the reason as a text. */
export interface Target {
  cluster: "context" | "kind" | "embedded";
  /** For `context`: its name. The other two have their own kubeconfig. */
  context?: string;
  why: string;
}

export interface ClusterFacts {
  /** `--context`. */
  asked?: string;
  /** `kubernetes:context` of the stack's configuration. */
  configured?: string;
  stack: string;
  /** The local cluster that exists, running or not. */
  existing?: "kind" | "embedded";
  docker: boolean;
  linux: boolean;
  root: boolean;
}

/**
 * The requested cluster; else the existing local one, which has the data; else kind if Docker is running; else the
 * embedded cluster.
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
