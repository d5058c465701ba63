/** A size in bytes. */
export type Bytes = number;

const units: Record<string, number> = { Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };

/** `512Mi` as bytes. Takes what `config/fields.ts` lets through. */
export function bytes(quantity: string): Bytes {
  const match = /^(\d+)(Mi|Gi|Ti)$/.exec(quantity);
  if (!match) throw new Error(`${quantity} is not a size in Mi, Gi or Ti`);
  return Number(match[1]) * units[match[2]!]!;
}

/** Bytes as whole mebibytes, rounded down: what servers' own configuration files are given. */
export const mebibytes = (size: Bytes): number => Math.floor(size / 2 ** 20);

/** `250m`, `2` or `0.5` as thousandths of a CPU. */
export function millicores(quantity: string): number {
  const cores = /^(\d+)m$/.exec(quantity);
  return cores ? Number(cores[1]) : Math.round(Number(quantity) * 1000);
}
