// Proves that quantities are read exactly as Kubernetes reads them.
// Does not ask an API server: the cluster tests send it the stacks' quantities.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../config/problems.ts";
import { bytes, mebibytes, millicores } from "../../config/quantity.ts";

const mantissa = fc.tuple(fc.nat(9_999), fc.nat(999)).map(([whole, thousandths]) => ({
  text: `${whole}.${String(thousandths).padStart(3, "0")}`,
  thousandths: BigInt(whole) * 1000n + BigInt(thousandths),
}));
/** Bytes by suffix. */
const suffix = fc.constantFrom<[string, bigint]>(
  ["", 1n],
  ["k", 10n ** 3n],
  ["M", 10n ** 6n],
  ["G", 10n ** 9n],
  ["T", 10n ** 12n],
  ["Ki", 2n ** 10n],
  ["Mi", 2n ** 20n],
  ["Gi", 2n ** 30n],
  ["e3", 10n ** 3n],
  ["E+9", 10n ** 9n],
);

describe("a quantity", () => {
  it("is its number times its unit, rounded up to whole bytes", () => {
    fc.assert(
      fc.property(mantissa, suffix, ({ text, thousandths }, [unit, factor]) => {
        const exact = thousandths * factor;
        expect(BigInt(bytes(text + unit))).toBe((exact + 999n) / 1000n);
      }),
    );
  });

  it("of CPUs is the same in every form", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000_000 }), (cpu) => {
        const forms = [`${cpu}m`, `${cpu}000u`, `${cpu}000000n`, `${cpu}e-3`, `${cpu / 1000}`, `+${cpu}m`];
        for (const form of forms) expect(millicores(form)).toBe(cpu);
      }),
    );
  });

  it("is either refused with its key or read, whatever the text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[+-]?[\d.]{1,6}[numkMGTPEeiK+\d-]{0,4}$/)), (size) => {
        let refused: string | undefined;
        try {
          parseConfig("test", { spark: { worker: { scratch: size } } });
        } catch (error) {
          refused = (error as Error).message;
        }
        if (refused)
          expect(refused).toMatch(/^stack test: spark\.worker\.scratch: found "[^\n]*; expected a size such as/);
        else expect(bytes(size)).toBeGreaterThanOrEqual(2 ** 20);
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ["1.5Gi", 1_610_612_736],
    ["512M", 512_000_000],
    ["2000000Ki", 2_048_000_000],
    ["1500m", 2],
    ["1.47Gi", 1_578_400_482],
    ["8Pi", 2 ** 53],
    [".5Ki", 512],
    ["5.", 5],
    ["1E", 10 ** 18],
    ["12E6", 12_000_000],
    ["Gi", Number.NaN],
    ["1 Gi", Number.NaN],
    ["-1Gi", Number.NaN],
    ["1gi", Number.NaN],
    ["", Number.NaN],
  ])("%s is %d bytes", (quantity, expected) => {
    expect(bytes(quantity)).toBe(expected);
  });

  it("in mebibytes is rounded down", () => {
    expect(mebibytes(bytes("512M"))).toBe(488);
    expect(mebibytes(bytes("1.5Gi"))).toBe(1536);
  });
});
