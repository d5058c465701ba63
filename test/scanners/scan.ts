import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { stringify } from "yaml";
import { findPython, virtualEnvironment } from "../../cli/python.ts";
import { type Binaries, buildStep, builtDir } from "../../local/go.ts";
import { type KubeObject, titleOf } from "../../render/manifests.ts";

export type Scanner = "checkov" | "kube-score" | "trivy";

/** A check that fails for an object. Several containers of one object with the same fault are one finding. */
export interface Finding {
  scanner: Scanner;
  /** The check's id: `CKV_K8S_11`. */
  check: string;
  stack: string;
  /** Kind, namespace and name, without the stack and the hash of a Job's work: `Job apps/superset-setup`. */
  object: string;
  /** kube-score's lower level; its other findings are critical. The other scanners' are never warnings. */
  warning: boolean;
}

/** The objects of stacks. */
export type Stacks = Record<string, readonly KubeObject[]>;

const kubeScore: Binaries = {
  dir: "test/scanners/go/kube-score",
  binaries: {
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score",
    kubeconform: "github.com/yannh/kubeconform/cmd/kubeconform",
  },
};
const trivy: Binaries = {
  dir: "test/scanners/go/trivy",
  binaries: { trivy: "./scan" },
  title: "trivy's configuration scan",
  experiment: "jsonv2",
};
/** The folder whose requirements.txt pins checkov. */
const checkov = "test/scanners";

/** The path of a binary, built if it is not in the cache. */
async function built(name: string, group: Binaries, binary = name): Promise<string> {
  const { skip, run } = buildStep(name, group);
  if (!(await skip?.())) await run(() => {});
  return join(await builtDir(name, group), binary);
}
export const kubeconform = () => built("kube-score", kubeScore, "kubeconform");

/** What the machine lacks to build and run the scanners; undefined if nothing. */
export async function missing(): Promise<string | undefined> {
  const go = await execa("go", ["version"], { reject: false });
  if (go.exitCode !== 0) return "Go 1.26";
  return (await findPython()) ? undefined : "Python 3 with its venv module";
}

/** An object's name in findings. The same in each stack. */
export function nameOf(stack: string, object: KubeObject): string {
  const title = titleOf(object).replace(` ${stack}-`, " ").replace(`app-${stack}-`, "app-");
  return object.kind === "Job" ? title.replace(/-[0-9a-f]{8}$/, "") : title;
}

/** Quotes text that a reader of YAML 1.1 takes for another type. */
const yaml = { aliasDuplicateObjects: false, compat: "yaml-1.1" } as const;

/** Calls `use` with a folder that has a file for each object: `<stack>/<index>.yaml`. */
export async function inFiles<T>(stacks: Stacks, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "data-platform-scan-"));
  try {
    for (const [stack, objects] of Object.entries(stacks)) {
      mkdirSync(join(folder, stack));
      for (const [index, object] of objects.entries())
        writeFileSync(join(folder, stack, `${index}.yaml`), stringify(object, yaml));
    }
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The failed checks of a scanner: a check's id and the path of the file. */
type Failed = { check: string; file: string; warning?: boolean }[];

async function runCheckov(folder: string): Promise<Failed> {
  const python = await findPython();
  if (!python) throw new Error("checkov needs Python 3 with its venv module");
  const program = join(await virtualEnvironment(checkov, python), "bin", "python");
  const flags = ["--framework", "kubernetes", "--output", "json", "--compact", "--quiet", "--soft-fail"];
  // It asks no server for descriptions of its checks, nor for a newer version.
  const args = ["-m", "checkov.main", "--directory", folder, ...flags, "--skip-download"];
  const { stdout } = await execa(program, args, { env: { CKV_SKIP_PACKAGE_UPDATE_CHECK: "true" } });
  const { results, summary } = JSON.parse(stdout) as Checkov;
  if (summary.parsing_errors > 0) throw new Error(`checkov cannot read ${summary.parsing_errors} files`);
  return results.failed_checks.map(({ check_id, file_path }) => ({ check: check_id, file: file_path }));
}

interface Checkov {
  results: { failed_checks: { check_id: string; file_path: string }[] };
  summary: { parsing_errors: number };
}

async function runKubeScore(folder: string): Promise<Failed> {
  const program = await built("kube-score", kubeScore);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => join(folder, file));
  // It fails with findings; with an input that it cannot read it prints no report, which JSON.parse refuses.
  const { stdout } = await execa(program, ["score", "--output-format", "json", ...files], { reject: false });
  return (JSON.parse(stdout) as Scored[]).flatMap(({ file_name, checks }) =>
    (checks ?? [])
      .filter(({ grade, skipped }) => !skipped && grade < allOk)
      .map(({ check, grade }) => ({ check: check.id, file: file_name, warning: grade > critical })),
  );
}

/** One object of kube-score's report. */
interface Scored {
  file_name: string;
  checks: { check: { id: string }; grade: number; skipped: boolean }[] | null;
}

/** kube-score's grades of a check without a finding, and of a critical one. A warning is between. */
const [allOk, critical] = [10, 1];

async function runTrivy(folder: string): Promise<Failed> {
  const { stdout } = await execa(await built("trivy", trivy), [folder]);
  return JSON.parse(stdout) as Failed;
}

/** The findings of all scanners, each once, sorted by their lines. Stacks must have different namespaces. */
export async function scan(stacks: Stacks): Promise<Finding[]> {
  const found = new Map<string, Finding>();
  const add = (scanner: Scanner, failed: Failed) => {
    for (const { check, file, warning = false } of failed) {
      const [, stack = "", index] = /([^/]+)\/(\d+)\.yaml$/.exec(file) ?? [];
      const object = stacks[stack]?.[Number(index)];
      if (!object) throw new Error(`${scanner} reports ${check} of ${file}, which it was not given`);
      const finding = { scanner, check, stack, object: nameOf(stack, object), warning };
      found.set(lineOf(finding), finding);
    }
  };
  await inFiles(stacks, async (folder) => {
    const [a, b, c] = await Promise.all([runCheckov(folder), runKubeScore(folder), runTrivy(folder)]);
    add("checkov", a);
    add("kube-score", b);
    add("trivy", c);
  });
  return [...found.values()].sort((a, b) => (lineOf(a) < lineOf(b) ? -1 : 1));
}

/** A finding in one line: `checkov CKV_K8S_11 prod: Deployment apps/trino-worker`. */
export const lineOf = ({ scanner, check, stack, object }: Finding): string => `${scanner} ${check} ${stack}: ${object}`;
