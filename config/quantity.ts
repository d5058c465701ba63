import { derived } from "./derived.ts";

/** A size in bytes. */
export type Bytes = number;

/** `<number><suffix>` of Kubernetes' resource.Quantity: a suffix of powers of 1024 or 1000, or a decimal exponent. */
const form = /^\+?(\d+\.?\d*|\.\d+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,2}))?$/;

/** Powers of 10 that a decimal suffix stands for. */
const powers: Record<string, number> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };

/** `number` in units of 10^-`digits`, as Kubernetes counts it: what is smaller than one unit is rounded up. */
function scaled(quantity: string, digits: number): bigint | undefined {
  const match = form.exec(quantity);
  if (!match) return undefined;
  const [, number = "", binary, decimal, exponent] = match;
  const [whole = "", fraction = ""] = number.split(".");
  const factor = binary ? 1024n ** BigInt("KMGTPE".indexOf(binary.charAt(0)) + 1) : 1n;
  const power = digits - fraction.length + (decimal ? (powers[decimal] ?? 0) : Number(exponent ?? 0));
  const count = BigInt(whole + fraction) * factor;
  if (power >= 0) return count * 10n ** BigInt(power);
  const divisor = 10n ** BigInt(-power);
  return (count + divisor - 1n) / divisor;
}

/**
 * A quantity that Kubernetes takes (`1.5Gi`, `512M`, `1e9`, `2147483648`) in bytes, exact up to 8 PiB; of a
 * byte's fraction, `1.47Gi`, the next byte, as Kubernetes has it.
 * NaN if it is not a quantity, so that a comparison with it reports nothing: the field itself is refused already.
 */
export const bytes = (quantity: string): Bytes => Number(scaled(quantity, 0) ?? Number.NaN);

/** Bytes as whole mebibytes, rounded down: what servers' own configuration files are given. */
export const mebibytes = (size: Bytes): number => Math.floor(size / 2 ** 20);

/** A percentage of a size in whole mebibytes, rounded down: what a server may use of its memory limit. */
export const mebibytesOf = derived("mebibytesOf", (size: string, percent: number): number =>
  Math.floor((mebibytes(bytes(size)) * percent) / 100),
);

/** A part of a size in whole mebibytes, rounded down: `1 / divisor` of it. */
export const mebibytesPart = derived("mebibytesPart", (size: string, divisor: number): number =>
  mebibytes(bytes(size) / divisor),
);

/** A percentage of a size in bytes, rounded down. */
export const bytesOf = derived("bytesOf", (size: string, percent: number): number =>
  Math.floor((bytes(size) * percent) / 100),
);

/** A percentage of a whole number, rounded down. */
export const percentage = derived("percentage", (of: number, percent: number): number =>
  Math.floor((of * percent) / 100),
);

/** A CPU quantity (`250m`, `2`, `0.5`) in thousandths of a CPU; NaN if it is not a quantity. */
export const millicores = (quantity: string): number => Number(scaled(quantity, 3) ?? Number.NaN);
