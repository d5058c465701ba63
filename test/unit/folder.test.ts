// Proves how commands write a folder of files: all or none, with the rights of its content, and never over files of
// somebody else.
// Does not prove that a full disk or a lost machine leaves the old files: only an interrupted run does.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { charted } from "../../cli/chart.ts";
import { mark } from "../../render/chart/chart.ts";
import { redacted } from "../../render/evaluate.ts";
import { type Folder, writeFolder } from "../../render/folder.ts";
import { manifests } from "../../render/manifests.ts";
import { rendered, renderFiles } from "../../render/render.ts";
import { stack } from "./engine-program.ts";

let parent: string;
let out: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "folder-"));
  out = join(parent, "out");
});
afterEach(() => rmSync(parent, { recursive: true }));

const stackFiles = (without: string[] = []) => renderFiles("dev", manifests(stack(redacted, { without })));
const chartOf = (...others: string[]) =>
  new Map([["Chart.yaml", `${mark}name: x\n`], ...others.map((path): [string, string] => [path, `${path}\n`])]);
const plain = rendered({ secret: false });

/** Every file below a folder, with its text. */
const read = (folder: string) =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")]),
  );

const sorted = (files: Map<string, string>) => [...files].sort(([a], [b]) => (a < b ? -1 : 1));

describe("a folder is replaced as a whole", () => {
  it.each<[string, Folder, Map<string, string>, Map<string, string>]>([
    ["manifests", plain, stackFiles(), stackFiles(["Job-users-1"])],
    ["a chart", charted, chartOf("templates/a.yaml", "templates/tests/a.yaml"), chartOf("templates/b.yaml")],
  ])("%s", (_, folder, before, after) => {
    writeFolder(out, before, folder);
    expect(sorted(read(out))).toEqual(sorted(before));
    writeFolder(out, after, folder);
    expect(sorted(read(out))).toEqual(sorted(after));
    expect(readdirSync(parent)).toEqual(["out"]);
  });

  it("in new folders, and in an empty one", () => {
    const deep = join(parent, "a", "b", "out");
    writeFolder(deep, chartOf("templates/a.yaml"), charted);
    expect(readFileSync(join(deep, "templates/a.yaml"), "utf8")).toBe("templates/a.yaml\n");
    mkdirSync(out);
    writeFolder(out, chartOf(), charted);
    expect(readdirSync(out)).toEqual(["Chart.yaml"]);
  });

  it("and keeps its old files if it cannot write the new ones", () => {
    writeFolder(out, chartOf("a"), charted);
    // A file where the other one needs a folder.
    expect(() => writeFolder(out, chartOf("b", "b/c"), charted)).toThrow();
    expect(sorted(read(out))).toEqual(sorted(chartOf("a")));
  });

  it("and leftovers of interrupted runs are removed, but nothing of other folders", () => {
    for (const name of [".out.platform-new-1", ".out.platform-old-1", ".out2.platform-new-1", ".out"])
      mkdirSync(join(parent, name, "templates"), { recursive: true });
    writeFolder(out, chartOf(), charted);
    expect(readdirSync(parent).sort()).toEqual([".out", ".out2.platform-new-1", "out"]);
  });
});

describe("is refused and not changed:", () => {
  it.each<[string, Folder, Record<string, string>, string]>([
    [
      "a folder with other files, for manifests",
      plain,
      { "mine.txt": "mine", "sub/a": "" },
      "holds mine.txt, sub, which render did not write",
    ],
    ["an earlier chart, for manifests", plain, { "Chart.yaml": mark }, "holds Chart.yaml, which render did not write"],
    [
      "a folder with other files, for a chart",
      charted,
      { a: "", b: "", c: "", d: "" },
      "holds a, b, c, …, which chart did not write",
    ],
    [
      "somebody else's chart, for a chart",
      charted,
      { "Chart.yaml": "name: mine\n", "templates/a.yaml": "" },
      "holds Chart.yaml, templates, which chart did not write",
    ],
  ])("%s", (_, folder, found, reason) => {
    for (const [path, text] of Object.entries(found)) {
      mkdirSync(dirname(join(out, path)), { recursive: true });
      writeFileSync(join(out, path), text);
    }
    expect(() => writeFolder(out, chartOf(), folder)).toThrow(
      `--out: ${out} ${reason}; expected a new directory, an empty one or one of its own`,
    );
    expect(sorted(read(out))).toEqual(sorted(new Map(Object.entries(found))));
    expect(readdirSync(parent)).toEqual(["out"]);
  });

  it("a file", () => {
    writeFileSync(out, "mine");
    expect(() => writeFolder(out, chartOf(), charted)).toThrow(`--out: ${out} is a file; expected a new directory`);
    expect(readFileSync(out, "utf8")).toBe("mine");
  });
});

it("files with real passwords are readable only by their owner, in folders too", () => {
  writeFolder(out, new Map([...stackFiles(), ["sub/a.yaml", ""]]), rendered({ secret: true }));
  const mode = (path: string) => statSync(join(out, path)).mode & 0o777;
  expect([mode(""), mode("sub")]).toEqual([0o700, 0o700]);
  expect([mode("30-secret.dev.db.yaml"), mode("sub/a.yaml")]).toEqual([0o600, 0o600]);
});
