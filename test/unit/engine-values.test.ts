/** Which generated values stay and which are made anew. That they survive in a cluster is apply.test.ts's. */
import { expect, test } from "vitest";
import { Values } from "../../engine/values.ts";
import { seeded } from "../../render/evaluate.ts";

const password = (name: string, inputs: Record<string, unknown> = {}) => ({
  type: "random:index/randomPassword:RandomPassword",
  name,
  inputs: { length: 24, special: false, ...inputs },
});

test("a value is the same for the same inputs in any order, and another for others", () => {
  const first = new Values({});
  const value = first.source(password("a", { keepers: { x: "1", y: "2" } }));
  expect(first.fresh).toEqual(["a"]);
  const second = new Values(first.used);
  expect(second.source(password("a", { keepers: { y: "2", x: "1" } }))).toBe(value);
  expect(second.fresh).toEqual([]);
  expect(second.source(password("b"))).not.toBe(value);
  expect(new Values(first.used).source(password("a", { keepers: { x: "2", y: "2" } }))).not.toBe(value);
  expect(new Values(first.used).source(password("a", { length: 25, keepers: { x: "1", y: "2" } }))).toHaveLength(25);
});

test("asked twice in a run, it is the same", () => {
  const values = new Values({});
  expect(values.source(password("a"))).toBe(values.source(password("a")));
});

test("passwords are letters and digits, all of them used", () => {
  const drawn = new Set(new Values({}).source(password("a", { length: 5000 })));
  expect([...drawn].sort().join("")).toBe("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
});

test("bytes come as base64 of their number", () => {
  const type = "random:index/randomBytes:RandomBytes";
  const value = new Values({}).source({ type, name: "k", inputs: { length: 32 } });
  expect(Buffer.from(value, "base64")).toHaveLength(32);
});

test("special characters are refused: they would break connection URLs", () => {
  const values = new Values({});
  expect(() => values.source(password("a", { special: true }))).toThrow("only letters and digits are made here");
});

test("a seed gives the same password each time, and another for another name, keeper or seed", () => {
  const value = seeded("one seed")(password("a"));
  expect(value).toMatch(/^[A-Za-z0-9]{24}$/);
  expect(seeded("one seed")(password("a"))).toBe(value);
  const others = [
    seeded("one seed")(password("b")),
    seeded("one seed")(password("a", { keepers: { rotation: "2" } })),
    seeded("another")(password("a")),
  ];
  expect(new Set([value, ...others]).size).toBe(4);
});
