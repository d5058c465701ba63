import type { KubeObject } from "../../render/manifests.ts";
import { type Accepted, accepted, type Check, type Objects } from "./accepted.ts";
import { type Finding, lineOf, nameOf, type Scanner, type Stacks } from "./scan.ts";

const workloadKinds = ["CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"];
export const isWorkload = ({ kind }: KubeObject): boolean => workloadKinds.includes(kind);

/** The names of a stack's workloads. */
const workloads = (stack: string, objects: readonly KubeObject[]): string[] =>
  objects.filter(isWorkload).map((object) => nameOf(stack, object));

const objectsIn = ({ objects }: Check, stack: "test" | "prod"): Objects =>
  "test" in objects ? objects[stack] : objects;

/** The findings that a list accepts in these stacks. */
export function findingsOf(list: readonly Accepted[], stacks: Record<"test" | "prod", Stacks[string]>): Finding[] {
  return list.flatMap(({ checks }) =>
    checks.flatMap((check) =>
      (["test", "prod"] as const).flatMap((stack) => {
        const objects = objectsIn(check, stack);
        const names =
          "everyWorkloadBut" in objects
            ? workloads(stack, stacks[stack]).filter((name) => !objects.everyWorkloadBut.includes(name))
            : objects;
        const { scanner, id, warning } = check;
        return names.map((object) => ({ scanner, check: id, stack, object, warning }));
      }),
    ),
  );
}

/** Lines of the findings in `all` that are not in `others`. */
export function beyond(all: readonly Finding[], others: readonly Finding[]): string[] {
  const known = new Set(others.map(lineOf));
  return all.map(lineOf).filter((line) => !known.has(line));
}

const [begin, end] = ["<!-- Findings: written by npm run docs from test/scanners/accepted.ts -->", "<!-- end -->"];

/** docs/security.md with the tables of the accepted findings. */
export function securityPage(page: string, stacks: Record<"test" | "prod", Stacks[string]>): string {
  const [before, rest] = page.split(begin);
  const [, after] = rest?.split(end) ?? [];
  if (before === undefined || after === undefined)
    throw new Error(`docs/security.md: expected a line ${begin} and, below it, a line ${end}`);
  return `${before}${begin}\n\n${summary(stacks)}\n\n${table(stacks)}\n\n${end}${after}`;
}

/** Findings per workload before the first of them was looked at: the same checks, of kube-score the critical ones. */
const before: [title: string, scanner: Scanner, warnings: boolean, perWorkload: string][] = [
  ["checkov", "checkov", false, "5.8"],
  ["kube-score, critical", "kube-score", false, "5.4"],
  ["trivy's configuration scan", "trivy", false, "4.8"],
];

function summary(stacks: Record<"test" | "prod", Stacks[string]>): string {
  const all = findingsOf(accepted, stacks);
  const rows = before.map(([title, scanner, warnings, early]) => {
    const cells = (["test", "prod"] as const).map((stack) => {
      const found = all.filter((one) => one.scanner === scanner && one.stack === stack && one.warning === warnings);
      const count = workloads(stack, stacks[stack]).length;
      return `${(found.length / count).toFixed(1)} (${found.length} in ${count})`;
    });
    return `| ${title} | ${early} | ${cells.join(" | ")} |`;
  });
  return ["| findings per workload | early version | `test` | `prod` |", "|---|---|---|---|", ...rows].join("\n");
}

function table(stacks: Record<"test" | "prod", Stacks[string]>): string {
  const rows = accepted.map((one) => {
    const cells = (["checkov", "kube-score", "trivy"] as const).map((scanner) =>
      one.checks
        .filter((check) => check.scanner === scanner)
        .map((check) => {
          const [test, prod] = (["test", "prod"] as const).map(
            (stack) =>
              findingsOf([{ ...one, checks: [check] }], stacks).filter((found) => found.stack === stack).length,
          );
          return `\`${check.id}\` ${test === prod ? test : `${test} / ${prod}`}`;
        })
        .join("<br>"),
    );
    return `| ${[one.finding, ...cells.map((cell) => cell || "–"), one.why].join(" | ")} |`;
  });
  return ["| finding | checkov | kube-score | trivy | why it stays |", "|---|---|---|---|---|", ...rows].join("\n");
}
