import { randomBytes, randomInt } from "node:crypto";
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";
import type {
  CheckFailure,
  CheckResult,
  CreateResult,
  DiffResult,
  Provider,
  ReadResult,
  UpdateResult,
} from "@pulumi/pulumi/provider/provider.js";
import { specialSecretSig, specialSigKey, unknownValue } from "@pulumi/pulumi/runtime/rpc.js";
import { hash } from "bcryptjs";
import { z } from "zod";

type Properties = Record<string, unknown>;

/** What differs between the types of resources. `planned`: the inputs with their defaults. */
interface Kind {
  /** Every input; a change of any of them makes a new value. */
  inputs: readonly string[];
  plan: (inputs: Properties) => Properties;
  /** Validates `planned`; unknown inputs (in a preview) are not validated. */
  refuse: (planned: Properties) => CheckFailure[];
  make: (planned: Properties) => Promise<Made>;
  /** Imports an existing value, from the id. */
  adopt: (id: string) => Promise<Made & { inputs: Properties }>;
  /** The output that an existing resource has, and one to be imported does not. */
  value: string;
}

interface Made {
  id: string;
  outputs: Properties;
}

/**
 * Pulumi's `random` provider for the two resources that the program has: RandomPassword and RandomBytes. Inputs, defaults,
 * outputs, ids, and what replaces a value are those of the official provider, so a stack can move from one to the other
 * and keep its passwords.
 */
export const random: Provider = {
  // The version of the SDK that the program uses: the engine compares them.
  version: createRequire(import.meta.url)("@pulumi/random/package.json").version,

  // Pulumi would cache an answer on disk as the schema of the official provider's version.
  async getSchema() {
    throw new Error(
      "the random provider of this checkout has no schema, from which code is generated; expected --generate-code=false",
    );
  },

  async check(urn, _olds, news): Promise<CheckResult> {
    const kind = kinds[typeOf(urn)];
    if (!kind) return { inputs: news, failures: [{ property: "", reason: unknownType(urn) }] };
    return { inputs: news, failures: kind.refuse(kind.plan(plain(news))) };
  },

  async diff(_id, urn, olds, news): Promise<DiffResult> {
    const kind = kindOf(urn);
    const before = kind.plan(plain(olds));
    const after = kind.plan(plain(news));
    const changed = kind.inputs.filter((name) => !isDeepStrictEqual(before[name], after[name]));
    return {
      changes: changed.length > 0,
      replaces: changed.filter((name) => !(isEmpty(before[name]) && isEmpty(after[name]))),
    };
  },

  async create(urn, inputs): Promise<CreateResult> {
    const kind = kindOf(urn);
    const { id, outputs } = await kind.make(kind.plan(plain(inputs)));
    return { id, outs: { ...kind.plan(inputs), ...outputs } };
  },

  /** Called only for a change between two forms of an empty input. */
  async update(_id, urn, olds, news): Promise<UpdateResult> {
    const kind = kindOf(urn);
    // The official provider's delta, which fits the exact form of its own outputs only.
    const kept = without(olds, [...kind.inputs, "__pulumi_raw_state_delta"]);
    return { outs: { ...kept, ...kind.plan(news) } };
  },

  async read(id, urn, props = {}): Promise<ReadResult> {
    const kind = kindOf(urn);
    if (props[kind.value] !== undefined) return { id, props };
    const { id: adopted, inputs, outputs } = await kind.adopt(id);
    return { id: adopted, inputs, props: { ...inputs, ...outputs } };
  },

  async delete() {},
};

const classes = {
  upper: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
  lower: "abcdefghijklmnopqrstuvwxyz",
  numeric: "0123456789",
  special: "!@#$%&*()-_=+[]{}<>:?",
};

const minimums = ["minLower", "minNumeric", "minSpecial", "minUpper"] as const;

/** The official provider's defaults. */
const passwordDefaults = {
  lower: true,
  minLower: 0,
  minNumeric: 0,
  minSpecial: 0,
  minUpper: 0,
  special: true,
  upper: true,
};

const passwordSchema = z.object({
  length: z.number(),
  upper: z.boolean(),
  minUpper: z.number(),
  lower: z.boolean(),
  minLower: z.number(),
  numeric: z.boolean(),
  minNumeric: z.number(),
  special: z.boolean(),
  minSpecial: z.number(),
  overrideSpecial: z.string().optional(),
});

const passwordInputs = ["keepers", "length", "number", "numeric", "overrideSpecial", ...Object.keys(passwordDefaults)];

function planPassword(inputs: Properties): Properties {
  const given = only(inputs, passwordInputs);
  // `number` is the old name of `numeric`.
  const numeric = given.numeric ?? given.number ?? true;
  return { ...passwordDefaults, ...given, numeric, number: given.number ?? numeric };
}

function refusePassword(planned: Properties): CheckFailure[] {
  const failures = [...refuseLength(planned.length), ...minimums.flatMap((name) => refuseMinimum(name, planned[name]))];
  const numbers = [planned.length, ...minimums.map((name) => planned[name])];
  if (failures.length === 0 && numbers.every((value) => typeof value === "number")) {
    const [length = 0, ...least] = numbers;
    const sum = least.reduce((total, value) => total + value, 0);
    if (length < sum)
      failures.push({
        property: "length",
        reason: `found ${length}; expected at least ${sum}, the sum of minLower, minNumeric, minSpecial and minUpper`,
      });
  }
  if (isKnown(planned.number) && isKnown(planned.numeric) && planned.number !== planned.numeric)
    failures.push({
      property: "number",
      reason: `found ${planned.number}, and numeric ${planned.numeric}; expected numeric alone, of which number is the old name`,
    });
  if ([planned.upper, planned.lower, planned.numeric, planned.special].every((value) => value === false))
    failures.push({
      property: "numeric",
      reason: "found upper, lower, numeric and special all false; expected at least one of them true",
    });
  return failures;
}

const refuseLength = (value: unknown): CheckFailure[] =>
  !isKnown(value) || (Number.isInteger(value) && Number(value) >= 1)
    ? []
    : [{ property: "length", reason: `found ${value ?? "none"}; expected a whole number of 1 or more` }];

const refuseMinimum = (property: string, value: unknown): CheckFailure[] =>
  !isKnown(value) || (Number.isInteger(value) && Number(value) >= 0)
    ? []
    : [{ property, reason: `found ${value}; expected a whole number of 0 or more` }];

/** A new password for these inputs. */
export function passwordOf(inputs: Properties): string {
  const planned = passwordSchema.parse(planPassword(inputs));
  const special = planned.overrideSpecial || classes.special;
  const sets = [
    { characters: classes.upper, used: planned.upper, least: planned.minUpper },
    { characters: classes.lower, used: planned.lower, least: planned.minLower },
    { characters: classes.numeric, used: planned.numeric, least: planned.minNumeric },
    { characters: special, used: planned.special, least: planned.minSpecial },
  ];
  const all = sets.map(({ characters, used }) => (used ? characters : "")).join("");
  const made = sets.flatMap(({ characters, least }) => pick(characters, least));
  return shuffled([...made, ...pick(all, planned.length - made.length)]).join("");
}

function pick(characters: string, count: number): string[] {
  const from = [...characters];
  return Array.from({ length: count }, () => from[randomInt(from.length)] ?? "");
}

/** Fisher and Yates: every order is as likely as any other. */
function shuffled<T>(values: T[]): T[] {
  const left = [...values];
  return values.flatMap(() => left.splice(randomInt(left.length), 1));
}

async function passwordMade(result: string): Promise<Made> {
  // 10 rounds is what Go's bcrypt does by default.
  const bcryptHash = secret(await hash(result, 10));
  // The version tells the official provider that it has nothing to convert.
  return { id: "none", outputs: { __meta: '{"schema_version":"3"}', id: "none", result: secret(result), bcryptHash } };
}

const bytesInputs = ["keepers", "length"];

const bytesMade = (bytes: Buffer): Made => ({
  // The id is the value itself, unencrypted, with the official provider too.
  id: bytes.toString("base64"),
  outputs: { base64: secret(bytes.toString("base64")), hex: secret(bytes.toString("hex")) },
});

const kinds: Record<string, Kind | undefined> = {
  "random:index/randomPassword:RandomPassword": {
    inputs: passwordInputs,
    value: "result",
    plan: planPassword,
    refuse: refusePassword,
    make: (planned) => passwordMade(passwordOf(planned)),
    adopt: async (id) => ({ ...(await passwordMade(id)), inputs: planPassword({ length: id.length }) }),
  },
  "random:index/randomBytes:RandomBytes": {
    inputs: bytesInputs,
    value: "base64",
    plan: (inputs) => only(inputs, bytesInputs),
    refuse: ({ length }) => refuseLength(length),
    make: async ({ length }) => bytesMade(randomBytes(Number(length))),
    adopt: async (id) => {
      const bytes = Buffer.from(id, "base64");
      if (bytes.length === 0 || bytes.toString("base64") !== id)
        throw new Error("import of a RandomBytes: the id is not base64; expected the bytes in base64");
      return { ...bytesMade(bytes), inputs: { length: bytes.length } };
    },
  },
};

const typeOf = (urn: string): string => urn.split("::")[2]?.split("$").at(-1) ?? "";

const unknownType = (urn: string) =>
  `${typeOf(urn)}: the random provider of this checkout makes RandomPassword and RandomBytes only; ` +
  "expected one of them, or Pulumi's own provider: https://www.pulumi.com/docs/install/";

function kindOf(urn: string): Kind {
  const kind = kinds[typeOf(urn)];
  if (!kind) throw new Error(unknownType(urn));
  return kind;
}

const secret = (value: unknown) => ({ [specialSigKey]: specialSecretSig, value });

/** Values without Pulumi's mark of secrets. */
const plain = (values: Properties): Properties =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, plainValue(value)]));

function plainValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (specialSigKey in value && value[specialSigKey] === specialSecretSig && "value" in value)
    return plainValue(value.value);
  return plain({ ...value });
}

const isKnown = (value: unknown) => value !== unknownValue;

/** Whether an input is empty, in one of its forms: undefined, no keepers, no special characters. */
const isEmpty = (value: unknown) =>
  value === undefined || value === "" || (typeof value === "object" && Object.keys(value ?? {}).length === 0);

const only = (values: Properties, names: readonly string[]): Properties =>
  Object.fromEntries(names.flatMap((name) => (values[name] == null ? [] : [[name, values[name]]])));

const without = (values: Properties, names: readonly string[]): Properties =>
  Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));
