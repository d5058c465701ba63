import { StateStore } from "../engine/state.ts";
import type { Kube } from "../kube/client.ts";
import type { StackFile } from "../render/stack.ts";
import type { Engine } from "./choose.ts";
import { Pulumi } from "./pulumi.ts";

/** The engine that a stack was brought up with, as each keeps its own books: apply in the cluster, Pulumi in a backend. */
export async function ownerOf(kube: Kube, file: StackFile): Promise<Engine | undefined> {
  const state = await new StateStore(kube, file.stack).load();
  if (state && state.inventory.length + state.orphans.length > 0) return "apply";
  return (await (await Pulumi.of(file)).hasResources()) ? "pulumi" : undefined;
}
