import { mebibytesOf } from "../../config/quantity.ts";

/**
 * A percentage of a container's memory limit as Java options write it, in mebibytes: `512m`. For a heap: a JVM needs
 * the rest of the limit for classes, threads, compiled code and buffers.
 */
export const share = (limit: string, percent: number): string => `${mebibytesOf(limit, percent)}m`;
