import * as pulumi from "@pulumi/pulumi";
import { ConfigProblems, parseConfig } from "./problems.ts";
import type { Config } from "./schema.ts";

/** Which cluster the Kubernetes provider talks to: Pulumi's own `kubernetes:context` and `kubernetes:kubeconfig`. */
export interface ClusterConfig {
  context?: string;
  /** A kubeconfig's path or contents. */
  kubeconfig?: pulumi.Output<string>;
}

export interface LoadedConfig {
  stack: string;
  config: Config;
  cluster: ClusterConfig;
}

/**
 * Reads and checks the configuration of the current stack. Nothing else reads Pulumi's configuration.
 * Throws `pulumi.RunError` with every problem, one a line, which Pulumi prints unchanged.
 */
export function load(): LoadedConfig {
  const stack = pulumi.getStack();
  const own = `${pulumi.getProject()}:`;
  const entries = Object.entries(pulumi.runtime.allConfig()).filter(([key]) => key.startsWith(own));
  const values = Object.fromEntries(entries.map(([key, text]) => [key.slice(own.length), structured(text)]));
  const kubernetes = new pulumi.Config("kubernetes");
  const context = kubernetes.get("context");
  const kubeconfig = kubernetes.getSecret("kubeconfig");
  try {
    const config = parseConfig(stack, values);
    if (stack === "prod" && !context && !kubeconfig)
      throw new ConfigProblems(stack, [
        "kubernetes:context: found nothing; expected the context of prod's cluster, since prod never follows the current one: `pulumi config set kubernetes:context NAME --stack prod`",
      ]);
    return { stack, config, cluster: { ...(context && { context }), ...(kubeconfig && { kubeconfig }) } };
  } catch (error) {
    throw error instanceof ConfigProblems ? refusal(error.message) : error;
  }
}

/** Whether the program creates the cluster: the stack has `cluster: kind` and names no existing one. */
export const makesCluster = ({ config, cluster }: LoadedConfig): boolean =>
  config.global.cluster === "kind" && !cluster.context && !cluster.kubeconfig;

/** Pulumi passes structured values as JSON and plain ones as text. */
function structured(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** An error that is printed as its message alone. Pulumi would take half a minute to format a stack trace. */
function refusal(message: string): pulumi.RunError {
  const error = new pulumi.RunError(message);
  error.stack = message;
  return error;
}
