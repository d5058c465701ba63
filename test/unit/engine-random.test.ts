// Proves that the provider of RandomPassword and RandomBytes follows the rules of Pulumi's own, as its source has them.
// Does not prove that an engine works with it: the cluster tests do.
import type { Provider } from "@pulumi/pulumi/provider/provider.js";
import { specialSecretSig, specialSigKey, unknownValue } from "@pulumi/pulumi/runtime/rpc.js";
import { compare } from "bcryptjs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { passwordOf, random } from "../../local/engine/random.ts";

const urnOf = (type: string) => `urn:pulumi:dev::data-platform::data-platform:index:Secret$random:index/${type}::one`;
const password = urnOf("randomPassword:RandomPassword");
const bytes = urnOf("randomBytes:RandomBytes");

const { check, diff, create, update, read } = random as Required<Provider>;
const secret = (value: unknown) => ({ [specialSigKey]: specialSecretSig, value });
const reveal = (value: unknown): string => {
  expect(value).toHaveProperty(specialSigKey, specialSecretSig);
  return (value as { value: string }).value;
};

/** Outputs as the official provider 4.21 wrote them, for inputs `length: 8, special: false`. */
const official = {
  __meta: '{"schema_version":"3"}',
  __pulumi_raw_state_delta: { obj: {} },
  bcryptHash: secret("$2a$10$HsFvLK4wI7aLBcqPQiJ8DOGYyeymRSM.MNTWUbd/Q3.SykJ/ukpBi"),
  id: "none",
  length: 8,
  lower: true,
  minLower: 0,
  minNumeric: 0,
  minSpecial: 0,
  minUpper: 0,
  number: true,
  numeric: true,
  result: secret("abcdEF12"),
  special: false,
  upper: true,
};

describe("check", () => {
  it.each([
    [{ length: 1 }, []],
    [{ length: 32, special: false, keepers: { version: "1" } }, []],
    [{ length: unknownValue, minUpper: 3 }, []],
    [{ length: 2, minUpper: unknownValue, minLower: 3 }, []],
    [{ length: secret(8) }, []],
    [{ length: 10, minUpper: 1, minLower: 2, minNumeric: 3, minSpecial: 4 }, []],
    [{}, ["length: found none; expected a whole number of 1 or more"]],
    [{ length: 0 }, ["length: found 0; expected a whole number of 1 or more"]],
    [{ length: 1.5 }, ["length: found 1.5; expected a whole number of 1 or more"]],
    [{ length: "32" }, ["length: found 32; expected a whole number of 1 or more"]],
    [{ length: 8, minLower: -1 }, ["minLower: found -1; expected a whole number of 0 or more"]],
    [
      { length: 9, minUpper: 1, minLower: 2, minNumeric: 3, minSpecial: 4 },
      ["length: found 9; expected at least 10, the sum of minLower, minNumeric, minSpecial and minUpper"],
    ],
    [
      { length: 8, number: true, numeric: false },
      ["number: found true, and numeric false; expected numeric alone, of which number is the old name"],
    ],
    [
      { length: 8, upper: false, lower: false, numeric: false, special: false },
      ["numeric: found upper, lower, numeric and special all false; expected at least one of them true"],
    ],
  ])("a password of %j", async (inputs, expected) => {
    const { failures = [], inputs: checked } = await check(password, {}, inputs);
    expect(failures.map(({ property, reason }) => `${property}: ${reason}`)).toEqual(expected);
    // The engine stores these: a missing input stays missing, as with the official provider.
    expect(checked).toEqual(inputs);
  });

  it.each([
    [{ length: 32 }, 0],
    [{ length: unknownValue }, 0],
    [{ length: 0 }, 1],
    [{}, 1],
  ])("bytes of %j", async (inputs, count) => {
    expect((await check(bytes, {}, inputs)).failures).toHaveLength(count);
  });

  it("another resource, by its type", async () => {
    const reason = (await check(urnOf("randomId:RandomId"), {}, {})).failures?.[0]?.reason;
    expect(reason).toContain("random:index/randomId:RandomId: ");
    expect(reason).toContain("makes RandomPassword and RandomBytes only");
    await expect(create(urnOf("randomId:RandomId"), {})).rejects.toThrow("random:index/randomId:RandomId: ");
  });
});

describe("create", () => {
  it("a password with the outputs, the id and the secrets of the official provider", async () => {
    const { id, outs } = await create(password, { length: 8, special: false });
    const { __pulumi_raw_state_delta: _, ...expected } = official;
    expect(id).toBe("none");
    expect(outs).toEqual({ ...expected, result: expect.anything(), bcryptHash: expect.anything() });
    expect(await compare(reveal(outs.result), reveal(outs.bcryptHash))).toBe(true);
  });

  it("bytes with the outputs, the id and the secrets of the official provider", async () => {
    const { id, outs } = await create(bytes, { length: 32, keepers: { version: "1" } });
    const value = Buffer.from(id, "base64");
    expect(value).toHaveLength(32);
    expect(outs).toEqual({
      length: 32,
      keepers: { version: "1" },
      base64: secret(id),
      hex: secret(value.toString("hex")),
    });
  });

  it("keeps a secret input secret", async () => {
    const { outs } = await create(password, { length: secret(8), keepers: { version: secret("1") } });
    expect(outs).toMatchObject({ length: secret(8), keepers: { version: secret("1") } });
    expect(reveal(outs.result)).toHaveLength(8);
  });

  it.each([
    [{ length: 64, special: false }, /^[A-Za-z0-9]{64}$/],
    [{ length: 64, upper: false, lower: false, special: false }, /^[0-9]{64}$/],
    [{ length: 64, number: false, special: false }, /^[A-Za-z]{64}$/],
    [{ length: 64, numeric: false, special: false, upper: false }, /^[a-z]{64}$/],
    [{ length: 64, lower: false, upper: false, numeric: false }, /^[!@#$%&*()\-_=+[\]{}<>:?]{64}$/],
    [{ length: 64, lower: false, upper: false, numeric: false, overrideSpecial: "~^" }, /^[~^]{64}$/],
    [
      { length: 64, lower: false, upper: false, numeric: false, overrideSpecial: "" },
      /^[!@#$%&*()\-_=+[\]{}<>:?]{64}$/,
    ],
    // A minimum counts even if its class is disabled.
    [{ length: 4, special: false, minSpecial: 4 }, /^[!@#$%&*()\-_=+[\]{}<>:?]{4}$/],
  ])("a password of %j from its characters", (inputs, expected) => {
    expect(passwordOf(inputs)).toMatch(expected);
  });

  it("as many of each class as asked, in any order", () => {
    const least = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(least, least, least, least, fc.integer({ min: 1, max: 5 }), (up, low, num, spec, more) => {
        const length = up + low + num + spec + more;
        const value = passwordOf({ length, minUpper: up, minLower: low, minNumeric: num, minSpecial: spec });
        expect(value).toHaveLength(length);
        expect(value.replace(/[^A-Z]/g, "").length).toBeGreaterThanOrEqual(up);
        expect(value.replace(/[^a-z]/g, "").length).toBeGreaterThanOrEqual(low);
        expect(value.replace(/[^0-9]/g, "").length).toBeGreaterThanOrEqual(num);
        expect(value.replace(/[A-Za-z0-9]/g, "").length).toBeGreaterThanOrEqual(spec);
      }),
    );
    const first = Array.from({ length: 50 }, () => passwordOf({ length: 2, minUpper: 1, minNumeric: 1 }));
    expect(new Set(first.map((value) => /^[A-Z]/.test(value))).size).toBe(2);
  });

  it("never the same twice", () => {
    expect(new Set(Array.from({ length: 100 }, () => passwordOf({ length: 16 }))).size).toBe(100);
  });
});

describe("diff", () => {
  const none = { changes: false, replaces: [] };
  const replaced = (...replaces: string[]) => ({ changes: true, replaces });

  it.each([
    [official, { length: 8, special: false }, none],
    // An input with the default value.
    [official, { length: 8, special: false, upper: true, minUpper: 0, numeric: true }, none],
    [official, { length: secret(8), special: false }, none],
    [official, { length: 8, special: false, __defaults: [] }, none],
    [official, { length: 9, special: false }, replaced("length")],
    [official, { length: unknownValue, special: false }, replaced("length")],
    [official, { length: 8 }, replaced("special")],
    [official, { length: 8, special: false, lower: false, minUpper: 1 }, replaced("lower", "minUpper")],
    [official, { length: 8, special: false, numeric: false }, replaced("number", "numeric")],
    [official, { length: 8, special: false, overrideSpecial: "~" }, replaced("overrideSpecial")],
    [official, { length: 8, special: false, keepers: { version: "1" } }, replaced("keepers")],
    [
      { ...official, keepers: { version: "1" } },
      { length: 8, special: false, keepers: { version: "2" } },
      replaced("keepers"),
    ],
    [{ ...official, keepers: { version: "1" } }, { length: 8, special: false }, replaced("keepers")],
    [{ ...official, keepers: { version: "1" } }, { length: 8, special: false, keepers: { version: "1" } }, none],
    [
      { ...official, keepers: { version: secret("1") } },
      { length: 8, special: false, keepers: { version: "1" } },
      none,
    ],
    [
      { ...official, keepers: { version: "1" } },
      { length: 8, special: false, keepers: { version: unknownValue } },
      replaced("keepers"),
    ],
    // From nothing to nothing: another state, the same password.
    [official, { length: 8, special: false, keepers: {} }, { changes: true, replaces: [] }],
    [
      { ...official, overrideSpecial: "" },
      { length: 8, special: false },
      { changes: true, replaces: [] },
    ],
    // Written by a provider from before `numeric`.
    [{ ...official, numeric: undefined }, { length: 8, special: false }, none],
  ] as [object, object, object][])("%j and %j", async (olds, news, expected) => {
    const { changes, replaces = [] } = await diff("none", password, olds, news);
    expect({ changes, replaces: [...replaces].sort() }).toEqual(expected);
  });

  it.each([
    [{ length: 32 }, none],
    [{ length: 16 }, replaced("length")],
    [{ length: 32, keepers: { version: "2" } }, replaced("keepers")],
  ])("bytes of 32 and %j", async (news, expected) => {
    const { outs } = await create(bytes, { length: 32 });
    expect(await diff("", bytes, outs, news)).toEqual(expected);
  });
});

it("updates changed inputs and keeps the value, and drops the official provider's field about its outputs", async () => {
  const { outs } = await update("none", password, { ...official, overrideSpecial: "" }, { length: 8, special: false });
  const { __pulumi_raw_state_delta: _, ...expected } = official;
  expect(outs).toEqual(expected);
});

describe("read", () => {
  it("does not change an existing state", async () => {
    expect(await read("none", password, official)).toEqual({ id: "none", props: official });
  });

  it("imports a password by its value", async () => {
    const { id, inputs, props } = await read("abcdEF12", password, {});
    expect(id).toBe("none");
    expect(inputs).toMatchObject({ length: 8, special: true, numeric: true, minLower: 0 });
    expect(reveal(props.result)).toBe("abcdEF12");
    expect(await compare("abcdEF12", reveal(props.bcryptHash))).toBe(true);
    expect((await diff("none", password, props, { length: 8 })).changes).toBe(false);
    expect((await diff("none", password, props, { length: 8, special: false })).replaces).toEqual(["special"]);
  });

  it("imports bytes by their base64", async () => {
    const base64 = Buffer.from("0123456789abcdef").toString("base64");
    const { id, inputs, props } = await read(base64, bytes, undefined);
    expect({ id, inputs }).toEqual({ id: base64, inputs: { length: 16 } });
    expect(props).toEqual({ length: 16, base64: secret(base64), hex: secret("30313233343536373839616263646566") });
  });

  it.each(["", "no base64", "QQ"])("refuses to import %j as bytes, and does not repeat it", async (id) => {
    await expect(read(id, bytes, {})).rejects.toThrow(
      /^import of a RandomBytes: the id is not base64; expected the bytes in base64$/,
    );
  });
});

it("has no schema, and reports how to import without one", async () => {
  await expect(random.getSchema?.()).rejects.toThrow(/has no schema.*expected --generate-code=false$/);
});
