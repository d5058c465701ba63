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
 * Reads and checks the configuration of the current stack: the one place where Pulumi's configuration is touched.
 * Throws `pulumi.RunError` with every problem, one a line, which Pulumi prints as it stands.
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

/** Whether the program is to make the cluster: where the stack says `cluster: kind`, and names none that is there. */
export const makesCluster = ({ config, cluster }: LoadedConfig): boolean =>
  config.global.cluster === "kind" && !cluster.context && !cluster.kubeconfig;

/** Pulumi hands structured values over as JSON and plain ones as they stand. */
function structured(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** An error that is shown as its message alone. Formatting a stack, which nobody would read, takes Pulumi half a minute. */
function refusal(message: string): pulumi.RunError {
  const error = new pulumi.RunError(message);
  error.stack = message;
  return error;
}
