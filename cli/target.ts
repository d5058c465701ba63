import { Kube } from "../engine/kube.ts";
import type { StackFile } from "../engine/stack.ts";
import * as local from "../local/cluster/index.ts";
import { chooseCluster, type Target } from "./choose.ts";

/** The cluster that a stack's commands are about. */
export async function targetOf(file: StackFile, asked?: string): Promise<Target> {
  return chooseCluster({
    asked,
    configured: file.config["kubernetes:context"] as string | undefined,
    stack: file.stack,
    docker: await local.dockerAnswers(),
    linux: process.platform === "linux",
    root: process.getuid?.() === 0,
  });
}

export const isLocal = ({ cluster }: Target): boolean => cluster !== "context";

/** The kubeconfig of a target; undefined for the one that kubectl would take. */
export const kubeconfigOf = (target: Target): string | undefined =>
  isLocal(target) ? local.kubeconfigPath() : undefined;

export const connect = (target: Target): Kube =>
  Kube.load({ kubeconfig: kubeconfigOf(target), context: target.context });

const names = { context: "the context's", kind: "kind, in Docker", embedded: "embedded, on this machine" };
export const nameOf = ({ cluster, context }: Target): string => context ?? names[cluster];
