import { randomBytes, randomInt } from "node:crypto";
import type { RandomSource } from "../render/evaluate.ts";

/** A generated value with what it was generated from. */
export interface Stored {
  inputs: string;
  value: string;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/**
 * The values of a stack's `random` resources: one that was made before is given again, unless what it was made from
 * (its length, or a keeper such as the rotation's number) has changed.
 */
export class Values {
  /** Every value that was asked for, by the resource's name. */
  readonly used: Record<string, Stored> = {};
  /** Names of those that had to be made. */
  readonly fresh: string[] = [];
  private readonly stored: Record<string, Stored>;

  constructor(stored: Record<string, Stored>) {
    this.stored = stored;
  }

  readonly source: RandomSource = ({ type, name, inputs }) => {
    const key = `${type.split(":").at(-1)} ${name}`;
    const from = canonical(inputs);
    let value = this.used[key] ?? this.stored[key];
    if (value?.inputs !== from) {
      value = { inputs: from, value: generate(type, inputs) };
      this.fresh.push(name);
    }
    this.used[key] = value;
    return value.value;
  };
}

function generate(type: string, inputs: Record<string, unknown>): string {
  const length = Number(inputs.length);
  if (type.endsWith(":RandomBytes")) return randomBytes(length).toString("base64");
  if (inputs.special !== false) throw new Error(`${type}: only letters and digits are made here: set special to false`);
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join("");
}

/** The same text for the same contents, in whatever order the keys were set. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    item !== null && typeof item === "object" && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
