// Proves that any stack file is either accepted and rendered, or refused with the key named. FUZZ_SECONDS extends the
// search.
// Does not prove that a cluster accepts what is rendered.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigProblems, parseConfig } from "../../config/problems.ts";
import { rules } from "../../policy/rules/index.ts";
import { readStack } from "../../render/stack.ts";
import { evaluated } from "../program/stacks.ts";

const seconds = Number(process.env.FUZZ_SECONDS ?? 5);
const bounded = { numRuns: 1_000_000, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false };

const prefix = "data-platform:";
const configured = (stack: string): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(readStack(".", stack).config)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), value]),
  );

/** Every path of a value, including its blocks. */
const paths = (value: unknown, path: string[] = []): string[][] =>
  value !== null && typeof value === "object"
    ? [path, ...Object.entries(value).flatMap(([key, inner]) => paths(inner, [...path, key]))]
    : [path];

/** Every configurable key: those of the whole configuration with its defaults. */
const known = paths(parseConfig("test", configured("test"))).filter((path) => path.length > 0);

/** Sets the value at a path. */
function put(value: unknown, [key, ...rest]: string[], inner: unknown): unknown {
  if (key === undefined) return inner;
  const block = value !== null && typeof value === "object" ? value : {};
  return { ...block, [key]: put((block as Record<string, unknown>)[key], rest, inner) };
}

/** A change as in YAML: any value at one key. */
const anything = fc.oneof(
  fc.anything({ withNullPrototype: false, maxDepth: 2 }),
  fc.string({ unit: "grapheme", maxLength: 80 }),
  fc.double(),
  fc.constantFrom(
    "",
    " ",
    "\n",
    "a\nb",
    "latest",
    "0",
    "-1",
    "1Gi",
    "1.5Gi",
    "1e3",
    "100m",
    "../..",
    "$" + "{x}",
    "null",
  ),
);
const junk = fc.record({
  stack: fc.constantFrom("dev", "test", "prod"),
  path: fc.oneof(
    fc.constantFrom(...known),
    fc.tuple(fc.constantFrom(...known), fc.string({ maxLength: 12 })).map(([path, key]) => [...path, key]),
  ),
  value: anything,
});

it("is refused with one line per problem, whatever its content", { timeout: 60_000 + seconds * 2_000 }, () => {
  fc.assert(
    fc.property(junk, ({ stack, path, value }) => {
      try {
        parseConfig(stack, put(configured(stack), path, value) as Record<string, unknown>);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigProblems);
        const lines = (error as Error).message.split("\n");
        expect(lines).toHaveLength((error as ConfigProblems).problems.length);
        for (const line of lines) expect(line).toMatch(/^stack \w+: \S.*: \S/);
      }
    }),
    bounded,
  );
});

it("never shows a value where a password is expected", () => {
  const secret = "correct-horse-battery";
  const places = known.filter((path) => path.includes("auth"));
  fc.assert(
    fc.property(fc.constantFrom(...places), fc.constantFrom("password", "user", "token", ""), (path, key) => {
      const changed = put(configured("test"), key ? [...path, key] : path, secret);
      try {
        parseConfig("test", changed as Record<string, unknown>);
      } catch (error) {
        // These two are not about the value, and their message has the text.
        if (key || !/^(rotation|existingSecret)$/.test(path.at(-1) ?? ""))
          expect((error as Error).message).not.toContain(secret);
      }
    }),
    { numRuns: 300 },
  );
});

describe("an accepted stack file", () => {
  /** Realistic values, most of which are accepted. */
  const plausible = fc.oneof(
    fc.integer({ min: 0, max: 20 }),
    fc.boolean(),
    fc
      .tuple(fc.integer({ min: 1, max: 4096 }), fc.constantFrom("", "Ki", "Mi", "Gi", "M", "G", "m", ".5Gi"))
      .map(([number, unit]) => `${number}${unit}`),
    fc.constantFrom("a-name", "a.domain.example.com", "registry.example.com:5000/team/app:3f2a9c1"),
  );
  it("renders to objects that keep every rule", { timeout: 60_000 + seconds * 2_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...known), plausible, async (path, value) => {
        const changed = put(configured("dev"), path, value) as Record<string, unknown>;
        try {
          parseConfig("dev", changed);
        } catch {
          return;
        }
        const { objects } = await evaluated("dev", { changes: JSON.stringify(put({}, path, value)), fresh: true });
        const broken = objects.flatMap((object) => Object.values(rules).flatMap((rule) => rule(object)));
        expect(broken).toEqual([]);
      }),
      bounded,
    );
  });
});
