import { existsSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { Kube } from "../kube/client.ts";
import * as local from "../local/cluster/index.ts";
import { UserError } from "../local/step.ts";
import type { StackFile } from "../render/stack.ts";
import { chooseCluster, type Target } from "./choose.ts";

/** The target cluster of a stack's commands. */
export async function targetOf(file: Pick<StackFile, "stack" | "config">, asked?: string): Promise<Target> {
  return chooseCluster({
    asked,
    configured: file.config["kubernetes:context"] as string | undefined,
    stack: file.stack,
    existing: existingLocal(),
    docker: await local.dockerAnswers(),
    linux: process.platform === "linux",
    root: process.getuid?.() === 0,
  });
}

/** The local cluster, for commands without a stack. */
export const localTarget = (): Promise<Target> => targetOf({ stack: "", config: {} });

/** The existing local cluster, by the name of the context in its kubeconfig. */
export function existingLocal(): "kind" | "embedded" | undefined {
  const context = localContext();
  return context ? (context.startsWith("kind-") ? "kind" : "embedded") : undefined;
}

function localContext(): string | undefined {
  if (!existsSync(local.kubeconfigPath())) return undefined;
  return parse(readFileSync(local.kubeconfigPath(), "utf8"))?.["current-context"] || undefined;
}

export const isLocal = ({ cluster }: Target): boolean => cluster !== "context";

/** The kubeconfig of a target; undefined for kubectl's default. */
export const kubeconfigOf = (target: Target): string | undefined =>
  isLocal(target) ? local.kubeconfigPath() : undefined;

/** The context's name; undefined if there is no cluster yet. */
export const contextOf = (target: Target): string | undefined =>
  target.context ?? (isLocal(target) ? localContext() : undefined);

export async function connect(target: Target): Promise<Kube> {
  if (isLocal(target) && !existsSync(local.kubeconfigPath()))
    throw new UserError("there is no local cluster yet: `./platform up` makes one, and --context names another");
  // Fails at once instead of after retries.
  if (target.cluster === "embedded" && !local.isStarted())
    throw new UserError("the local cluster is stopped: `./platform cluster up` starts it");
  return Kube.load({ kubeconfig: kubeconfigOf(target), context: target.context });
}

const names = { context: "the context's", kind: "kind, in Docker", embedded: "embedded, on this machine" };
export const nameOf = ({ cluster, context }: Target): string => context ?? names[cluster];
