// Proves what the comparison of two lists of objects reports to a reviewer.
// Does not prove that Pulumi would do the same: config/immutable-fields.ts follows the provider's list.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { compare } from "../../render/diff/compare.ts";
import { changeLines, fieldChanges } from "../../render/diff/fields.ts";
import { markdown } from "../../render/diff/markdown.ts";
import { previewPage } from "../../render/diff/preview.ts";
import { risks } from "../../render/diff/risks.ts";

const object = (kind: string, name: string, rest: object = {}, apiVersion = "v1"): KubernetesObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace: "core" },
  ...rest,
});

const claim = (size = "1Gi", rest = {}) =>
  object("PersistentVolumeClaim", "data-0", { spec: { resources: { requests: { storage: size } }, ...rest } });
const secret = (stringData: Record<string, string>, name = "admin", rest = {}) =>
  object("Secret", name, { stringData, ...rest });
const container = (image: string) => ({
  name: "main",
  image,
  resources: { requests: { cpu: "250m", memory: "512Mi" } },
});
const set = (spec = {}, image = "a:1") =>
  object(
    "StatefulSet",
    "db",
    {
      spec: {
        replicas: 2,
        serviceName: "db",
        template: { spec: { containers: [container(image)] } },
        volumeClaimTemplates: [{ metadata: { name: "data" } }],
        ...spec,
      },
    },
    "apps/v1",
  );
const job = (hash: string, image: string) =>
  object("Job", `init-${hash}`, { spec: { template: { spec: { containers: [container(image)] } } } }, "batch/v1");

const fatesOf = (before: KubernetesObject[], after: KubernetesObject[]) =>
  compare(before, after).map(({ fate, title }) => `${fate}: ${title}`);
const risksOf = (before: KubernetesObject[], after: KubernetesObject[]) => risks(compare(before, after), after);
const page = (before: KubernetesObject[], after: KubernetesObject[], maxLength?: number) =>
  markdown("main", [{ stack: "dev", before, after }], maxLength);

describe("the change of an object", () => {
  it("is empty if it is the same, in any order of its fields", () => {
    const { apiVersion, kind, metadata, spec } = set();
    expect(compare([set(), claim()], [claim(), { spec, metadata, kind, apiVersion }])).toEqual([]);
  });

  it("is listed by kind, namespace and name, the most drastic first", () => {
    const elsewhere = { ...claim(), metadata: { name: "data-0", namespace: "apps" } };
    expect(
      fatesOf([set(), claim(), secret({})], [set({ serviceName: "other" }), elsewhere, secret({ a: "1" })]),
    ).toEqual([
      "replaced: StatefulSet core/db",
      "removed: PersistentVolumeClaim core/data-0",
      "changed: Secret core/admin",
      "added: PersistentVolumeClaim apps/data-0",
    ]);
  });

  it("does not depend on the API version", () => {
    expect(fatesOf([object("A", "a", {}, "g/v1beta1")], [object("A", "a", {}, "g/v1")])).toEqual(["changed: A core/a"]);
  });

  it("of a Job named by a hash is another run, not a removal and an addition", () => {
    expect(fatesOf([job("0123abcd", "a:1")], [job("0123abce", "a:2")])).toEqual(["runs again: Job core/init"]);
    expect(fatesOf([job("0123abcd", "a:1")], [job("0123abcd", "a:2")])).toEqual(["replaced: Job core/init"]);
    expect(fatesOf([], [job("0123abcd", "a:1")])).toEqual(["added: Job core/init"]);
  });

  it.each([
    ["StatefulSet", { spec: { serviceName: "x" } }],
    ["StatefulSet", { spec: { selector: { matchLabels: { x: "x" } } } }],
    ["StatefulSet", { spec: { podManagementPolicy: "Parallel" } }],
    ["StatefulSet", { spec: { volumeClaimTemplates: [] } }],
    ["StatefulSet", { spec: { revisionHistoryLimit: 1 } }],
    ["Deployment", { spec: { selector: { matchLabels: { x: "x" } } } }],
    ["PersistentVolumeClaim", { spec: { accessModes: ["ReadWriteMany"] } }],
    ["PersistentVolumeClaim", { spec: { storageClassName: "fast" } }],
    ["Service", { spec: { clusterIP: "None" } }],
    ["Secret", { type: "kubernetes.io/tls" }],
    ["RoleBinding", { roleRef: { name: "x" } }],
    ["Job", { spec: { template: {} } }],
  ])("%s with another %j is replaced", (kind, rest) => {
    expect(fatesOf([object(kind, "x")], [object(kind, "x", rest)])).toEqual([`replaced: ${kind} core/x`]);
  });

  it.each([
    ["StatefulSet", { spec: { replicas: 3 } }],
    ["PersistentVolumeClaim", { spec: { resources: { requests: { storage: "2Gi" } } } }],
    ["ConfigMap", { data: { a: "b" } }],
    ["Secret", { stringData: { a: "b" } }],
  ])("%s with another %j is changed", (kind, rest) => {
    expect(fatesOf([object(kind, "x")], [object(kind, "x", rest)])).toEqual([`changed: ${kind} core/x`]);
  });
});

describe("data at stake", () => {
  /** A StatefulSet whose number of pods is fixed. */
  const fixed = (replicas: number) => ({
    ...set({ replicas }),
    metadata: { ...set().metadata, annotations: { "data-platform/fixed-replicas": "x" } },
  });

  it.each([
    ["a removed volume", [claim()], [], /^is \*\*removed\*\*/],
    ["a volume of another class", [claim()], [claim("1Gi", { storageClassName: "x" })], /storageClassName.*is empty/],
    ["a volume that shrinks", [claim("1Gi")], [claim("512Mi")], /shrinks\*\* from 1Gi to 512Mi/],
    ["a replaced StatefulSet", [set()], [set({ serviceName: "x" })], /`spec.serviceName` cannot be changed/],
    ["a removed StatefulSet", [set()], [], /^is \*\*removed\*\*/],
    ["fewer pods with volumes", [set()], [set({ replicas: 1 })], /from 2 to 1 pods/],
    ["a number of pods that is fixed", [set()], [fixed(3)], /from 2 to 3 pods, which is refused/],
    ["a removed Namespace", [object("Namespace", "core")], [], /everything in it/],
    ["a removed kind of objects", [object("CustomResourceDefinition", "x")], [], /every object of that kind/],
    ["a lost password", [secret({ password: "one" })], [], /no other Secret has its `password`/],
  ])("%s is", (_, before, after, says) => {
    expect(risksOf(before, after).data.map((risk) => risk.says)).toEqual([expect.stringMatching(says)]);
  });

  it.each([
    ["a volume that grows", [claim("1Gi")], [claim("2Gi")]],
    ["a new volume", [], [claim()]],
    ["more pods", [set()], [set({ replicas: 3 })]],
    ["a fixed number of pods after a stop", [fixed(0)], [fixed(3)]],
    ["a removed StatefulSet without volumes", [set({ volumeClaimTemplates: [] })], []],
    ["a removed Service", [object("Service", "db")], []],
    ["a password that another Secret has now", [secret({ password: "one" })], [secret({ key: "one" }, "moved")]],
    [
      "a password that another Secret had before",
      [secret({ password: "one" }), secret({ key: "one" }, "copy")],
      [secret({ key: "one" }, "copy")],
    ],
  ])("%s is not", (_, before, after) => {
    expect(risksOf(before, after)).toEqual({ data: [], rotations: [] });
  });

  it("is distinguished from a rotation", () => {
    expect(risksOf([secret({ user: "a", password: "one" })], [secret({ user: "a", password: "two" })])).toEqual({
      data: [],
      rotations: [{ title: "Secret core/admin", says: "gets another `password`" }],
    });
  });
});

describe("a field", () => {
  const paths = (before: unknown, after: unknown) => fieldChanges(before, after).map(({ path }) => path);

  it("is named by its path, and list items by name", () => {
    const pod = (value: string) => ({ env: [{ name: "A" }, { name: "B", value }], data: { "x.conf": value } });
    expect(paths(pod("1"), pod("2"))).toEqual(["env[B].value", "data[x.conf]"]);
    expect(paths({ args: ["a", "b"] }, { args: ["a", "c"] })).toEqual(["args"]);
    expect(paths({ a: [{ name: "x" }] }, { a: [{ name: "x" }, { name: "y" }] })).toEqual(["a[y]"]);
  });

  it("differs if only the order of a list changes", () => {
    expect(paths({ a: [{ name: "x" }, { name: "y" }] }, { a: [{ name: "y" }, { name: "x" }] })).toEqual(["a"]);
  });

  it("of many lines shows only those that differ", () => {
    const file = (port: number) => `one\ntwo\nport ${port}\nfour\nfive\n`;
    expect(changeLines({ path: "", before: file(1), after: file(2) })).toEqual([
      "  two",
      "- port 1",
      "+ port 2",
      "  four",
    ]);
    expect(changeLines({ path: "", before: "1\n", after: "1\n\n" })).toEqual(["  1", "+ "]);
  });

  it("shows a value's type if nothing else differs", () => {
    expect(changeLines({ path: "", before: "1", after: 1 })).toEqual(['- "1"', "+ 1"]);
  });
});

describe("the page", () => {
  it("reports in one line that nothing changes", () => {
    expect(page([set()], [set()])).toBe("## Stack `dev`\n\nNothing changes against `main`.\n");
  });

  it("starts with the risks and ends with the totals", () => {
    expect(page([set(), claim("2Gi"), secret({ p: "1" })], [set({ replicas: 3 }, "a:2"), secret({ p: "2" })])).toBe(
      `## Stack \`dev\`: 1 removed, 2 changed

> [!CAUTION]
> **Data is at stake**
>
> - \`PersistentVolumeClaim core/data-0\` is **removed**, and what is on the volume with it

> [!WARNING]
> **New passwords or keys: external clients need the new ones**
>
> - \`Secret core/admin\` gets another \`p\`

|  | replaced | removed | changed | runs again | added |
| --- | --: | --: | --: | --: | --: |
| PersistentVolumeClaim |  | 1 |  |  |  |
| Secret |  |  | 1 |  |  |
| StatefulSet |  |  | 1 |  |  |

### Images

| before | after | of |
| --- | --- | --- |
| \`a:1\` | \`a:2\` | \`StatefulSet core/db\` |

### Objects

<p>removed: <code>PersistentVolumeClaim core/data-0</code></p>

<details><summary>changed: <code>Secret core/admin</code></summary>

\`\`\`diff
@@ stringData.p @@
- (not shown)
+ (not shown, new)
\`\`\`

</details>

<details><summary>changed: <code>StatefulSet core/db</code></summary>

\`\`\`diff
@@ spec.replicas @@
- 2
+ 3
@@ spec.template.spec.containers[main].image @@
- a:1
+ a:2
\`\`\`

</details>

### Requests

|  | \`main\` | after | difference |
| --- | --- | --- | --- |
| CPU | 0.5 | 0.75 | **+0.25** |
| Memory | 1 GiB | 1.5 GiB | **+0.5 GiB** |
| Disk | 2 GiB | 0 GiB | **−2 GiB** |
`,
    );
  });

  it("lists images that are replaced, added or removed, not those that are still used elsewhere", () => {
    const pod = (name: string, image: string) => object("Pod", name, { spec: { containers: [container(image)] } });
    const before = [pod("a", "x:1"), pod("b", "x:1"), pod("c", "y:1"), pod("old", "z:1")];
    const after = [pod("a", "x:2"), pod("b", "x:2"), pod("c", "y:1"), pod("new", "w:1"), pod("d", "y:1")];
    const table = page(before, after).split("### ")[1];
    expect(table).toBe(`Images

| before | after | of |
| --- | --- | --- |
| \`z:1\` | none | \`Pod core/old\` |
| \`x:1\` | \`x:2\` | \`Pod core/a\`, \`Pod core/b\` |
| none | \`w:1\` | \`Pod core/new\` |

`);
  });

  it("never shows a Secret's values", () => {
    const before = [secret({ a: "hunter-1", b: "hunter-2" }), secret({ d: "hunter-3" }, "gone"), secret({}, "plain")];
    const after = [
      secret({ a: "hunter-4", c: "hunter-5" }),
      secret({ e: "hunter-6" }, "fresh"),
      { ...secret({}, "plain"), data: { f: "hunter-7" } },
    ];
    const text = page(before, after);
    expect(text).not.toContain("hunter");
    for (const key of ["a", "b", "c", "e", "f"]) expect(text).toMatch(new RegExp(`\\b${key}\\b.*\n?.*not shown`));
  });

  it("shows a change once if it is the same everywhere", () => {
    const labelled = (name: string, version: string) => ({
      ...object("Service", name),
      metadata: { name, namespace: "core", labels: { version } },
    });
    const text = page(
      ["a", "b"].map((name) => labelled(name, "1")),
      ["a", "b"].map((name) => labelled(name, "2")),
    );
    expect(text).toContain("changed: <code>Service core/a</code>, <code>Service core/b</code>");
    expect(text.match(/labels\.version/g)).toHaveLength(1);
  });

  it("puts a text with fences into a longer fence", () => {
    const text = page([], [object("ConfigMap", "a", { data: { readme: "```\nx\n```\n" } })]);
    expect(text).toContain("````diff\n");
  });

  it("omits differences, the longest first, to meet its size limit", () => {
    const config = (name: string, lines: number) =>
      object("ConfigMap", name, { data: { a: Array.from({ length: lines }, (_, i) => `line ${i}`).join("\n") } });
    const text = page([], [config("long", 90), config("short", 3)], 1200);
    expect(text.length).toBeLessThanOrEqual(1200);
    expect(text).toContain("ConfigMap core/long</code> (too long to be shown here)");
    expect(text).toContain("line 2");
    expect(text).not.toContain("line 80");
    expect(text).toContain("### Requests");
    expect(page([], [config("long", 90)], 200)).toMatch(/^## Stack[\s\S]*too long to be shown here\.\n$/);
  });

  it("keeps every stack's title and error within a small limit, and cuts no block", () => {
    const config = (name: string) =>
      object("ConfigMap", name, {
        data: Object.fromEntries(["a", "b"].map((key) => [key, `ø👩‍🚀\n${"é\n".repeat(300)}`])),
      });
    const many = Array.from({ length: 200 }, (_, i) => config(`config-${i}`));
    const all = [
      { stack: "dev", before: [], after: many },
      { stack: "test", before: many, after: [] },
      { stack: "prod", problem: `at main: ${"👩‍🚀".repeat(50)} fails` },
    ];
    for (const most of [60_000, 20_000, 4_000, 1_200, 700, 400]) {
      const text = markdown("main", all, most);
      expect(whole(text)).toBe(true);
      expect(text.length).toBeLessThanOrEqual(most);
      for (const { stack } of all) expect(text).toContain(`## Stack \`${stack}\``);
      if (most > 1_000) expect(text).toContain("👩‍🚀 fails.");
    }
  });

  it("reports why stacks cannot be compared", () => {
    expect(markdown("main", [{ stack: "new", problem: "at main: there is no such stack" }])).toBe(
      "## Stack `new`\n\nNothing to compare: at main: there is no such stack.\n",
    );
  });

  it("omits the totals if a container has no requests", () => {
    const bare = object("Pod", "p", { spec: { containers: [{ name: "x", image: "x:1" }] } });
    expect(page([], [bare])).toContain("They cannot be added up");
  });
});

/** Whether no character is cut and every block is closed. */
function whole(text: string): boolean {
  const outside = text.replace(/^(`{3,})(diff)?\n[\s\S]*?^\1$/gm, "");
  const number = (of: RegExp) => outside.match(of)?.length ?? 0;
  return (
    !/\p{Surrogate}/u.test(text) &&
    // An emoji of several code points is whole or missing.
    !/👩(?!\u{200d}🚀)/u.test(text) &&
    !outside.includes("```") &&
    number(/<details>/g) === number(/<\/details>/g)
  );
}

describe("the page of previews", () => {
  const failing = (lines: number) => `${"Previewing update (prod): ø👩‍🚀\n".repeat(lines)}error: it is broken\n`;
  const fine = "Previewing\n\nResources:\n    + 2 to create\n    +-1 to replace\n    12 unchanged\n\n";

  it("shows the end of each output, and the counts", () => {
    expect(
      previewPage(
        [
          { stack: "dev", failed: false, output: fine },
          { stack: "test", failed: true, output: "```\nerror: it is broken\n" },
          { stack: "prod", failed: true },
        ],
        1_000,
      ),
    ).toBe(`## \`pulumi preview --stack dev\`

<details><summary>+ 2 to create, +-1 to replace, 12 unchanged</summary>

\`\`\`
${fine.trim()}
\`\`\`

</details>

## \`pulumi preview --stack test\`

<details><summary>failed</summary>

\`\`\`\`
\`\`\`
error: it is broken
\`\`\`\`

</details>

## \`pulumi preview --stack prod\`

It was not started: see the log of the run.
`);
  });

  it("keeps each of many errors, and gives the space that short ones leave to long ones", () => {
    const previews = Array.from({ length: 8 }, (_, i) => ({
      stack: `stack-${i}`,
      failed: true,
      output: failing(i % 2 ? 5_000 : 3),
    }));
    const page = previewPage(previews, 65_000);
    expect(whole(page)).toBe(true);
    expect(page.length).toBeLessThanOrEqual(65_000);
    expect(page.length).toBeGreaterThan(64_500);
    expect(page.match(/^error: it is broken$/gm)).toHaveLength(8);
    expect(page.match(/^```\n…\nPreviewing/gm)).toHaveLength(4);
  });

  it("is well-formed and within the limit, whatever the output", () => {
    const output = fc.string({ unit: fc.constantFrom("👩‍🚀", "ø", "\n", "`", "```", "x", "error: "), maxLength: 300 });
    const previews = fc.array(fc.record({ stack: fc.constant("dev"), failed: fc.boolean(), output }), { maxLength: 5 });
    fc.assert(
      fc.property(previews, fc.integer({ min: 1_200, max: 2_500 }), (all, most) => {
        const page = previewPage(all, most);
        return whole(page) && page.length <= most;
      }),
      // The same examples in each run by default.
      { numRuns: Number(process.env.FUZZ_RUNS ?? 300), ...(!process.env.FUZZ_RUNS && { seed: 1 }) },
    );
  });
});
