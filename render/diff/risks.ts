import { fixedReplicas, resizes } from "../../config/immutable-fields.ts";
import { bytes } from "../../config/quantity.ts";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { type Change, secretValues } from "./compare.ts";
import { at } from "./replaces.ts";

/** What a reviewer must not overlook. */
export interface Risk {
  title: string;
  says: string;
}

export interface Risks {
  /** Data would be lost or moved away from, or the engine would refuse. */
  data: Risk[];
  /** Passwords and keys with a new value, which external clients need. */
  rotations: Risk[];
}

/** `after` are all objects of the later revision: a password may have moved to another Secret. */
export function risks(changes: Change[], after: KubernetesObject[]): Risks {
  const kept = new Set(
    after.filter(({ kind }) => kind === "Secret").flatMap((one) => Object.values(secretValues(one))),
  );
  const risk = (says: (change: Change) => string | undefined) =>
    changes.flatMap((change) => {
      const said = says(change);
      return said ? [{ title: change.title, says: said }] : [];
    });
  return { data: risk((change) => dataRisk(change, kept)), rotations: risk(rotation) };
}

function dataRisk({ fate, kind, before, after, forcedBy }: Change, kept: Set<string>): string | undefined {
  const forced = `is **replaced**, because ${forcedBy.map((path) => `\`${path}\``).join(" and ")} cannot be changed`;
  switch (kind) {
    case "PersistentVolumeClaim":
    case "PersistentVolume":
      if (fate === "removed") return "is **removed**, and what is on the volume with it";
      if (fate === "replaced") return `${forced}: the new volume is empty`;
      return shrinks(before, after);
    case "StatefulSet":
      if (!before || !hasVolumes(before)) return undefined;
      if (fate === "removed") return "is **removed**: its volumes are no longer used";
      if (fate === "replaced") return `${forced}: all its pods stop before the first one starts again`;
      if (after?.metadata.annotations?.[fixedReplicas] && resizes(before.spec.replicas, after.spec.replicas))
        return `goes from ${before.spec.replicas} to ${after.spec.replicas} pods, which is refused: the number is fixed once the volumes have data`;
      return before.spec.replicas > after?.spec.replicas
        ? `goes from ${before.spec.replicas} to ${after?.spec.replicas} pods: the volumes of the others are no longer used`
        : undefined;
    case "Namespace":
      return fate === "removed" ? "is **removed**, and everything in it" : undefined;
    case "CustomResourceDefinition":
      return fate === "removed" ? "is **removed**, and every object of that kind" : undefined;
    case "Secret": {
      const lost = Object.entries(secretValues(before)).filter(([, value]) => !kept.has(value));
      if (fate !== "removed" || lost.length === 0) return undefined;
      return `is **removed**, and no other Secret has its ${list(lost.map(([key]) => key))}`;
    }
    default:
      return undefined;
  }
}

function rotation({ kind, before, after }: Change): string | undefined {
  if (kind !== "Secret" || !before || !after) return undefined;
  const [old, fresh] = [secretValues(before), secretValues(after)];
  const keys = Object.keys(old).filter((key) => key in fresh && old[key] !== fresh[key]);
  return keys.length > 0 ? `gets another ${list(keys)}` : undefined;
}

function shrinks(before: KubernetesObject | undefined, after: KubernetesObject | undefined): string | undefined {
  const path = "spec.resources.requests.storage";
  const [old, fresh] = [at(before, path), at(after, path)] as string[];
  return old && fresh && bytes(fresh) < bytes(old)
    ? `**shrinks** from ${old} to ${fresh}, which is refused: volumes never shrink`
    : undefined;
}

const hasVolumes = ({ spec }: KubernetesObject): boolean =>
  (spec.volumeClaimTemplates ?? []).length > 0 ||
  (spec.template?.spec?.volumes ?? []).some((volume: object) => "persistentVolumeClaim" in volume);

const list = (keys: string[]) => keys.map((key) => `\`${key}\``).join(" and ");
