// Proves which cluster tests run again, and how one that fails is handled.
// Does not run a cluster test.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../../cli/project.ts";
import { clusterTests, exercised, fingerprint, type Ingredients, type Proof } from "../../cli/proven.ts";
import { type FileResult, type Proving, proveAll, type RunResult } from "../../cli/test-cluster.ts";

const passes = (file: string): FileResult => ({ file, seconds: 12, passed: 3, skipped: 1, failures: [] });
const fails = (file: string): FileResult => ({
  ...passes(file),
  passed: 2,
  failures: [{ test: "loses nothing", message: "expected 1 to be 2\nat a line" }],
});

/** Runs the cluster tests with these results, one per run. Files: a and b, with the fingerprints A and B. */
async function prove(
  runs: (Partial<RunResult> & { files: FileResult[]; afterwards?: () => void })[],
  proofs: Record<string, Proof> = {},
) {
  const kept = new Map(Object.entries(proofs));
  const asked: string[][] = [];
  const said: string[] = [];
  const work: Proving = {
    fingerprints: new Map([
      ["a.test.ts", "A"],
      ["b.test.ts", "B"],
    ]),
    provenBefore: (file, fingerprint) => (kept.get(file)?.fingerprint === fingerprint ? kept.get(file) : undefined),
    run: async (files, ended) => {
      asked.push(files);
      const result = { outside: [], ...runs[asked.length - 1] } as RunResult;
      for (const file of result.files) await ended(file);
      runs[asked.length - 1]?.afterwards?.();
      return result;
    },
    keep: async (file, proof) => void kept.set(file, proof),
    forget: async (file) => void kept.delete(file),
    say: (line) => said.push(line),
  };
  const counts = await proveAll(work);
  return { counts, asked, said: said.join("\n"), kept };
}

const proof = (fingerprint: string): Proof => ({
  fingerprint,
  at: "2026-03-01T10:20:30.000Z",
  seconds: 93.4,
  passed: 7,
  skipped: 0,
});

describe("a cluster test file", () => {
  it("runs, and is recorded as proven when it passes", async () => {
    const { counts, kept } = await prove([{ files: [passes("a.test.ts"), passes("b.test.ts")] }]);
    expect(counts).toEqual({ passed: 6, failed: 0, skipped: 2 });
    expect(kept.get("b.test.ts")).toMatchObject({ fingerprint: "B", seconds: 12, passed: 3, skipped: 1 });
  });

  it("is not run again while its fingerprint is the same, and counts as skipped", async () => {
    const { counts, asked, said } = await prove([{ files: [passes("b.test.ts")] }], { "a.test.ts": proof("A") });
    expect(asked).toEqual([["b.test.ts"]]);
    expect(said).toBe("proven before: a.test.ts, 2026-03-01 10:20 UTC, 7 tests in 93 s");
    expect(counts).toEqual({ passed: 3, failed: 0, skipped: 8 });
  });

  it("starts no cluster when everything is proven", async () => {
    const { counts, asked, said } = await prove([], { "a.test.ts": proof("A"), "b.test.ts": proof("B") });
    expect(asked).toEqual([]);
    expect(said).toMatch(/every cluster test is proven/);
    expect(counts).toEqual({ passed: 0, failed: 0, skipped: 14 });
  });

  it("runs again when its fingerprint changes", async () => {
    const { asked } = await prove([{ files: [passes("a.test.ts")] }], {
      "a.test.ts": proof("older"),
      "b.test.ts": proof("B"),
    });
    expect(asked).toEqual([["a.test.ts"]]);
  });

  it("is reported as flaky if it fails once and then passes: neither failed nor proven", async () => {
    const { counts, asked, said, kept } = await prove([
      { files: [fails("a.test.ts"), passes("b.test.ts")] },
      { files: [passes("a.test.ts")] },
    ]);
    expect(asked).toEqual([["a.test.ts", "b.test.ts"], ["a.test.ts"]]);
    expect(said).toContain("flake: a.test.ts failed once and then passed: loses nothing: expected 1 to be 2");
    expect(counts).toEqual({ passed: 6, failed: 0, skipped: 2 });
    expect([...kept.keys()]).toEqual(["b.test.ts"]);
  });

  it("fails if it fails twice, or if no time is left for the second run", async () => {
    const late = { ...passes("a.test.ts"), passed: 0, skipped: 4 };
    for (const second of [fails("a.test.ts"), late]) {
      const { counts, kept } = await prove([{ files: [fails("a.test.ts")] }, { files: [second] }]);
      expect(counts.failed).toBe(1);
      expect(kept.has("a.test.ts")).toBe(false);
    }
  });

  it("is not proven if no time was left for it", async () => {
    const { kept } = await prove([{ files: [{ ...passes("a.test.ts"), passed: 0, skipped: 4 }] }]);
    expect(kept.has("a.test.ts")).toBe(false);
  });

  it("is not proven by a run that failed outside its tests", async () => {
    const { counts, kept, said } = await prove([{ files: [passes("a.test.ts")], outside: ["nobody handled this"] }]);
    expect(counts.failed).toBe(1);
    expect(said).toContain("outside the tests: nobody handled this");
    expect(kept.size).toBe(0);
  });

  it("is not proven by an error outside its tests that was its own, which takes no pass from the others", async () => {
    const [a, b] = [passes("a.test.ts"), passes("b.test.ts")];
    const afterwards = () => void a.failures.push({ test: "outside its tests", message: "nobody handled this" });
    const { counts, kept, asked } = await prove([{ files: [a, b], afterwards }, { files: [passes("a.test.ts")] }]);
    expect(asked[1]).toEqual(["a.test.ts"]);
    expect(counts.failed).toBe(0);
    expect([...kept.keys()]).toEqual(["b.test.ts"]);
  });
});

describe("a fingerprint", () => {
  const object = (component: string | undefined, image: string) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "one", ...(component && { labels: { "app.kubernetes.io/name": component } }) },
    spec: { image },
  });
  const ingredients: Ingredients = {
    common: "cluster pins",
    objects: [object("redis", "redis:8"), object("trino", "trino:480"), object(undefined, "")],
    keys: new Map([
      ["redis:8", "key of redis"],
      ["trino:480", "key of trino"],
    ]),
    hashes: (path) => [[path, "hash"]],
  };
  const test = "// Exercises: trino, docs/spark.md.\n";
  const before = fingerprint(test, ingredients);
  const changed = (change: Partial<Ingredients>, text = test) => fingerprint(text, { ...ingredients, ...change });

  it("is the same for the same inputs", () => expect(changed({})).toBe(before));

  it.each<[string, Partial<Ingredients>]>([
    ["what every test depends on", { common: "other pins" }],
    ["an object of its component", { objects: [...ingredients.objects.slice(0, 1), object("trino", "trino:481")] }],
    ["an object of no component, such as a namespace", { objects: [...ingredients.objects, object(undefined, "x")] }],
    ["the key of its component's image", { keys: new Map([...ingredients.keys, ["trino:480", "another"]]) }],
    ["a file that it names", { hashes: (path) => [[path, path === "docs/spark.md" ? "other" : "hash"]] }],
    ["its component's code", { hashes: (path) => [[path, path.startsWith("components/") ? "other" : "hash"]] }],
  ])("changes with %s", (_, change) => expect(changed(change)).not.toBe(before));

  it("changes with the test", () => expect(changed({}, `${test}it(…)`)).not.toBe(before));

  it("does not change with another component", () => {
    expect(changed({ objects: [object("redis", "redis:9"), ...ingredients.objects.slice(1)] })).toBe(before);
    expect(changed({ keys: new Map([...ingredients.keys, ["redis:8", "another"]]) })).toBe(before);
  });

  it("changes with every component for a test that exercises all", () => {
    const all = "// Exercises: every component.\n";
    expect(changed({ keys: new Map([...ingredients.keys, ["redis:8", "another"]]) }, all)).not.toBe(changed({}, all));
  });
});

it("every cluster test lists what it exercises: components by their label, files and folders that are there", () => {
  const rendered = ["dev", "test", "prod"].map((stack) =>
    readFileSync(join(root, `test/golden/${stack}.yaml`), "utf8"),
  );
  const labels = rendered.join("\n").matchAll(/app\.kubernetes\.io\/name: (.+)/g);
  const names = new Set([...labels].map(([, name]) => name));
  for (const file of clusterTests()) {
    const named = exercised(readFileSync(join(root, "test/cluster", file), "utf8"));
    if (named === "every component") continue;
    expect(
      named.filter((one) => !names.has(one) && !existsSync(join(root, one))),
      file,
    ).toEqual([]);
  }
});
