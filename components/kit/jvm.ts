import { bytes, mebibytes } from "../../config/quantity.ts";

/**
 * A share of a container's memory limit in the form of Java's options, `512m`. The rest of the limit is for what a
 * JVM has beside its heap: classes, threads, compiled code and buffers.
 */
export const share = (limit: string, percent: number): string =>
  `${Math.floor((mebibytes(bytes(limit)) * percent) / 100)}m`;
