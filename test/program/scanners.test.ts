// Proves that checkov, kube-score and trivy's configuration scan find in the stacks test and prod what
// test/scanners/accepted.ts lists and nothing else, that they find no more in the Helm chart, and that kubeconform takes
// every object of both.
// Does not prove that an API server takes them; the schemas are those of the Kubernetes version of the embedded cluster.
import { readFileSync } from "node:fs";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { containersIn } from "../../policy/rules/object.ts";
import type { KubeObject } from "../../render/manifests.ts";
import { accepted } from "../scanners/accepted.ts";
import { beyond, findingsOf, isWorkload, securityPage } from "../scanners/compare.ts";
import { type Finding, missing, type Stacks, scan } from "../scanners/scan.ts";
import { invalid } from "../scanners/schemas.ts";
import { helm } from "../unit/helm.ts";
import { type Evaluated, evaluated } from "./stacks.ts";

let program: Record<"test" | "prod", Evaluated["objects"]>;
beforeAll(async () => {
  program = { test: (await evaluated("test")).objects, prod: (await evaluated("prod")).objects };
});

/** What `helm template` makes of the chart with the values of a stack, the pods of `helm test` included. */
async function charted(stack: string): Promise<KubeObject[]> {
  const chart = "charts/data-platform";
  const values = ["--values", `${chart}/values-${stack}.yaml`, "--set", "secrets.create=false"];
  const { stdout } = await execa(await helm(), ["template", stack, chart, ...values]);
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
}

const lacking = await missing();

describe.skipIf(lacking)(`the scanners${lacking ? `, which need ${lacking}` : ""}`, () => {
  let found: Finding[];
  let chart: Stacks;
  let foundInChart: Finding[];
  // The first run installs and builds them.
  beforeAll(async () => {
    found = await scan(program);
    chart = { test: await charted("test"), prod: await charted("prod") };
    foundInChart = await scan(chart);
  }, 1_800_000);

  it("find nothing that is not accepted", () => {
    expect(beyond(found, findingsOf(accepted, program)), "mend them, or say why they stay in accepted.ts").toEqual([]);
  });

  it("find everything that is accepted", () => {
    expect(beyond(findingsOf(accepted, program), found), "take them out of accepted.ts").toEqual([]);
  });

  it("call warnings what accepted.ts does", () => {
    const warnings = (all: readonly Finding[]) => [
      ...new Set(all.filter((one) => one.warning).map((one) => one.check)),
    ];
    expect(warnings(found).sort()).toEqual(warnings(findingsOf(accepted, program)).sort());
  });

  /** Whether it is about a pod of `helm test`, or about the policies that let those connect. */
  const isOfTest = ({ object }: Finding) => /^(Pod|NetworkPolicy) \w+\/test-/.test(object);

  it("find in the chart nothing that they do not find in the program", () => {
    expect(
      beyond(
        foundInChart.filter((one) => !isOfTest(one)),
        found,
      ),
    ).toEqual([]);
  });

  it("find in the pods of helm test what they find in workloads, and that these have no liveness probe", () => {
    const known = new Set(found.map(({ check }) => check));
    const others = foundInChart.filter((one) => isOfTest(one) && !known.has(one.check)).map(({ check }) => check);
    expect([...new Set(others)].sort()).toEqual(["CKV_K8S_8"]);
  });

  it.each(["checkov", "kube-score", "trivy"])(
    "%s finds less in a workload of the chart than of the program",
    (scanner) => {
      const perWorkload = (stacks: Stacks, all: readonly Finding[]) =>
        all.filter((one) => one.scanner === scanner).length /
        Object.values(stacks)
          .flat()
          .filter((object) => isWorkload(object) || object.kind === "Pod").length;
      expect(perWorkload(chart, foundInChart)).toBeLessThanOrEqual(perWorkload(program, found));
    },
  );

  it("kubeconform takes every object of the program", { timeout: 900_000 }, async () => {
    expect(await invalid(program)).toEqual([]);
  });

  it("kubeconform takes every object of the chart", { timeout: 900_000 }, async () => {
    expect(await invalid(chart)).toEqual([]);
  });
});

it("docs/security.md has the tables that `npm run docs` writes", () => {
  const page = readFileSync("docs/security.md", "utf8");
  expect(securityPage(page, program)).toBe(page);
});

it("no container writes to a path without a limit", () => {
  for (const { kind, spec } of program.test)
    if (kind === "Deployment" || kind === "StatefulSet")
      for (const { name, emptyDir } of spec.template.spec.volumes)
        if (emptyDir) expect(emptyDir.sizeLimit, name).toBeDefined();
  for (const object of program.test)
    for (const container of containersIn(object))
      expect(container.securityContext?.readOnlyRootFilesystem, container.name).toBe(true);
});
