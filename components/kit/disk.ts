import type * as k8s from "@pulumi/kubernetes";
import { derived } from "../../config/derived.ts";
import { bytes, mebibytes, mebibytesPart } from "../../config/quantity.ts";

/*
 * What a container may write to its node's disk, so that one that fills it is stopped before the node evicts others. Its
 * root file system is read-only, so that is its log and its scratch volumes.
 */

/**
 * For the log, of which nodes keep up to 250 MiB (AKS, OpenShift; 50 MiB by Kubernetes' default) and a log between two
 * rotations more; and for files of ConfigMaps and volumes too small to count.
 */
const logs = "512Mi";

/** Up to here, a scratch volume is too small to count. */
const small = "16Mi";

/** A limit with room for a scratch volume. */
const withScratch = derived("withScratch", (limit: string, size: string): string =>
  bytes(size) > bytes(small) ? `${mebibytes(bytes(limit) + bytes(size))}Mi` : limit,
);

interface Given {
  requests: { cpu: string; memory: string };
  limits: { memory: string; cpu?: string | undefined };
}

/**
 * Resources with the disk that a container may use: its log and scratch volumes of these sizes. Few volumes are full at
 * the same time, so an eighth is requested.
 */
export function withDisk<R extends Given>({ requests, limits }: R, scratch: readonly string[] = []) {
  const limit = scratch.reduce((sum, size) => withScratch(sum, size), logs);
  return {
    requests: { ...requests, "ephemeral-storage": `${mebibytesPart(limit, 8)}Mi` },
    limits: { ...limits, "ephemeral-storage": limit },
  };
}

type Volumes = Readonly<Record<string, Omit<k8s.types.input.core.v1.Volume, "name"> | undefined>>;
type Mounts = Readonly<Partial<Record<string, string | { volume: string }>>>;

/**
 * Sizes of the scratch volumes on disk that each container of a pod may fill: those that it mounts. The first of `containers`
 * has those that init containers alone mount too, since they stay as long as the pod.
 */
export function scratchOf(
  volumes: Volumes,
  containers: readonly { mounts?: Mounts | undefined }[],
): (container: { mounts?: Mounts | undefined }) => string[] {
  const mounted = ({ mounts = {} }: { mounts?: Mounts | undefined }): string[] =>
    Object.values(mounts).flatMap((mount) =>
      mount === undefined ? [] : [typeof mount === "string" ? mount : mount.volume],
    );
  const all = containers.flatMap(mounted);
  const left = Object.keys(volumes).filter((name) => !all.includes(name));
  return (container) => {
    const names = new Set([...mounted(container), ...(container === containers[0] ? left : [])]);
    return [...names].flatMap((name) => sizeOf(volumes[name]) ?? []);
  };
}

/** The size of a scratch volume on disk; undefined for other volumes. A size is always a plain text. */
function sizeOf(volume: Volumes[string]): string | undefined {
  const emptyDir = volume && "emptyDir" in volume ? volume.emptyDir : undefined;
  if (!emptyDir || !("sizeLimit" in emptyDir) || ("medium" in emptyDir && emptyDir.medium === "Memory"))
    return undefined;
  return typeof emptyDir.sizeLimit === "string" ? emptyDir.sizeLimit : undefined;
}
