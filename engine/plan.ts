import { ApiError, type Kube, type Live } from "../kube/client.ts";
import { readiness } from "../kube/ready.ts";
import { type KubeObject, keyOf, type Manifest, titleOf } from "../render/manifests.ts";
import { ConfigError } from "../render/stack.ts";
import { canReplace, changedPaths, configKey, fixedChange, resized, shrinks } from "./compare.ts";
import type { Known, State } from "./state.ts";

export interface Planned {
  manifest: Manifest;
  action: "create" | "change" | "replace" | "keep";
  /** What the cluster has now, where that is not on its way out. */
  live?: Live;
  /** Paths that change, or the one that forces the replacement. */
  paths: string[];
}

export interface Plan {
  steps: Planned[];
  /** Keys of namespaces that were there before the stack, and are its own from now on but for their deletion. */
  adopted: Set<string>;
  /** Removed from the program and to be deleted. */
  prune: Known[];
  /** Removed from the program and to be left in the cluster. */
  orphan: Known[];
}

/** What this engine is asked to do something to, as it goes to the API: `stringData` can be written but not owned. */
export function submitted({ stringData, ...object }: KubeObject): KubeObject {
  if (!stringData) return object as KubeObject;
  const encoded = Object.entries(stringData).map(([key, text]) => [key, Buffer.from(String(text)).toString("base64")]);
  return { ...object, data: { ...(object.data as object), ...Object.fromEntries(encoded) } } as KubeObject;
}

/**
 * Compares the program with the cluster, changes nothing, and refuses what cannot be done or must not be, all at
 * once. The server itself is asked, by a dry run of every object, so that what it would refuse half-way it
 * refuses here.
 */
export async function plan(kube: Kube, stack: string, manifests: Manifest[], state: State): Promise<Plan> {
  const refusals: string[] = [];
  const adopted = new Set([...state.inventory, ...state.orphans].filter((one) => one.adopted).map(keyOf));
  const known = new Set([...state.inventory, ...state.orphans].map(keyOf));
  const lives = await Promise.all(manifests.map(({ object }) => find(kube, object)));
  const leaving = new Set(
    lives.flatMap((live) => (live?.kind === "Namespace" && live.metadata.deletionTimestamp ? live.metadata.name : [])),
  );
  const namespaces = new Set(lives.flatMap((live) => (live?.kind === "Namespace" ? live.metadata.name : [])));
  const ours = new Set(manifests.flatMap(({ object }) => (object.kind === "Namespace" ? object.metadata.name : [])));

  const steps = await Promise.all(
    manifests.map(async (manifest, i): Promise<Planned> => {
      const { key } = manifest;
      const object = submitted(manifest.object);
      const { namespace } = object.metadata;
      const gone = lives[i]?.metadata.deletionTimestamp || (namespace && leaving.has(namespace));
      const live = gone ? undefined : lives[i];
      const refuse = (problem: string) => refusals.push(`stack ${stack}: ${problem}`);

      if (live && !known.has(key) && !manifest.patch) {
        if (adoptable(stack, live)) adopted.add(key);
        else refuse(foreign(live));
      }
      const shrunk = live && shrinks(live, object);
      if (shrunk) refuse(`${configKey(object) ?? titleOf(object)}: ${shrunk}`);
      const other = live && resized(live, object);
      if (other) refuse(other);
      if (
        shrunk ||
        other ||
        (!live && namespace && ours.has(namespace) && (!namespaces.has(namespace) || leaving.has(namespace)))
      )
        return { manifest, action: "create", paths: [] };

      // A Job that has failed stays failed.
      if (live?.kind === "Job" && readiness(live).state === "failed")
        return { manifest, action: "replace", live, paths: [] };

      try {
        const after = await kube.apply(object, { dryRun: true });
        if (!live) return { manifest, action: "create", paths: [] };
        const paths = changedPaths(live, after);
        return { manifest, action: paths.length > 0 ? "change" : "keep", live, paths };
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        const path = error.code === 422 && live && fixedChange(live, object);
        if (path && canReplace(object)) {
          if (manifest.protect)
            refuse(`${titleOf(object)}: ${path} cannot be changed in place, and the object is protected; ${unprotect}`);
          return { manifest, action: "replace", live, paths: [path] };
        }
        // What a kind or a namespace of the same run is needed for cannot be tried before those exist.
        if (!live && error.code === 404) return { manifest, action: "create", paths: [] };
        // A quota may be raised in this very run.
        if (error.message.includes("exceeded quota"))
          return { manifest, action: live ? "change" : "create", live, paths: [] };
        const key = path ? undefined : configKey(object);
        if (path)
          refuse(
            `${titleOf(object)}: ${path} cannot be changed once the volume exists; expected what it was made with`,
          );
        else refuse(`${key ? `${key}: ` : ""}${titleOf(object)}: the cluster refuses it: ${error.message}`);
        return { manifest, action: "keep", live, paths: [] };
      }
    }),
  );

  const wanted = new Set(manifests.map(({ key }) => key));
  const removed = state.inventory.filter((one) => !wanted.has(keyOf(one)));
  for (const one of removed)
    if (one.protect)
      refusals.push(`stack ${stack}: ${titleOf(one)}: no longer configured, and protected from deletion; ${unprotect}`);
  if (refusals.length > 0) throw new ConfigError([...new Set(refusals)].join("\n"));
  return { steps, adopted, ...partition(removed) };
}

export const unprotect =
  "put it back, or give it up for good: set global.protectData to false, run `up` once, then make the change again";

/**
 * What is deleted and what is left. The namespace of something that is left is left too: it would take it along.
 * A patched object is someone else's, and so is an adopted one: there is nothing to delete.
 */
export function partition(removed: Known[]): { prune: Known[]; orphan: Known[] } {
  const kept = removed.filter(({ retainOnDelete }) => retainOnDelete);
  const holding = new Set(kept.map(({ metadata }) => metadata.namespace));
  const stays = (one: Known) => one.retainOnDelete || (one.kind === "Namespace" && holding.has(one.metadata.name));
  return { prune: removed.filter((one) => !stays(one) && !one.patch && !one.adopted), orphan: removed.filter(stays) };
}

/** A kind that the cluster does not have yet has no objects either. */
async function find(kube: Kube, object: KubeObject): Promise<Live | undefined> {
  return kube.get(object).catch((error) => {
    if (error instanceof ApiError && error.code === 404) return undefined;
    throw error;
  });
}

const madeByPulumi = ({ metadata }: Live) =>
  metadata.managedFields?.some(({ manager }) => manager.startsWith("pulumi"));

/** A namespace that an administrator made, with Secrets in it perhaps, and that is no other stack's. */
function adoptable(stack: string, live: Live): boolean {
  const { labels = {} } = live.metadata;
  const others =
    labels["app.kubernetes.io/part-of"] === "data-platform" && labels["app.kubernetes.io/instance"] !== stack;
  return live.kind === "Namespace" && !others && !madeByPulumi(live);
}

function foreign(live: Live): string {
  return madeByPulumi(live)
    ? `${titleOf(live)}: it belongs to a Pulumi engine; expected \`--engine pulumi\` with the same backend, or \`pulumi destroy\` first`
    : `${titleOf(live)}: it exists and this stack did not make it; expected to find nothing of that name: delete it, or configure another namespace`;
}
