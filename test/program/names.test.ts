// Proves that every name and label stays valid in Kubernetes, however long the names it is built from.
// Does not prove that no other rule of Kubernetes refuses them: the cluster tests apply those of the stacks.
import { beforeAll, describe, expect, it } from "vitest";
import { rules } from "../../policy/rules/index.ts";
import { duplicateNames, referenceProblems, selectorProblems } from "../../policy/rules/whole.ts";
import { type Evaluated, evaluated, named } from "./stacks.ts";

const longestStack = `a${"-b".repeat(14)}c`;
const longestApp = `a${"b".repeat(29)}`;
/** A tag of maximum length that ends in characters which a label must not end in. */
const longestTag = `1.${"_".repeat(100)}-x_`;

describe("the longest possible names", () => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await evaluated("prod", {
      name: longestStack,
      changes: `{
        monitoring: { enabled: true, monitors: { enabled: true } },
        webApp: { debug: true, service: { type: NodePort }, ingress: { host: app.example.com } },
        noetl: { instances: { main: {}, ${"n".repeat(20)}: { type: dev, path: /src } } },
        djangoApps: { ${longestApp}: { image: "apps/${longestApp}:${longestTag}", database: cloudnative-pg } },
        cloudnativePg: { enabled: true, operator: existing },
        kafka: { image: "apache/kafka:${longestTag}" },
        redis: { image: "redis:_3f2a9c1" },
        postgresql: { databases: [${"d".repeat(63)}] } }`,
    });
  });

  it("are valid, and so are all labels", () => {
    const problems = program.objects.flatMap((object) =>
      (rules.named?.(object) ?? []).map((problem) => `${object.kind} ${object.metadata.name}: ${problem}`),
    );
    expect(problems).toEqual([]);
  });

  it("are unique, and selectors and references find them", () => {
    expect(duplicateNames(program.objects)).toEqual([]);
    expect(selectorProblems(program.objects)).toEqual([]);
    expect(referenceProblems(program.objects)).toEqual([]);
  });

  it("shorten a tag to a valid label", () => {
    const version = (kind: string, name: string) =>
      named(program, kind, name).metadata.labels?.["app.kubernetes.io/version"];
    expect(version("StatefulSet", "kafka")).toBe("1");
    expect(version("StatefulSet", "redis")).toBe("3f2a9c1");
  });

  it("give dashboards UIDs that Grafana accepts", () => {
    const { data } = named(program, "ConfigMap", "exporters-dashboards");
    const uids = Object.values<string>(data).map((file) => JSON.parse(file).uid as string);
    expect(new Set(uids).size).toBe(uids.length);
    for (const uid of uids) expect(uid.length).toBeLessThanOrEqual(40);
  });
});
