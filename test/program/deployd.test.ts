// Proves for deployd's manifests: its RBAC and namespaces, that new repositories roll no pod, and that a new secret
// does.
// Does not prove that the permissions suffice: the cluster tests do.
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { writeProblems } from "../../policy/rules/whole.ts";
import { seeded } from "../../render/evaluate.ts";
import { changed, type Evaluated, evaluated, named } from "./stacks.ts";

const render = (changes = "{}") => evaluated("dev", { changes, random: seeded("a test's seed") });
const repository = (more = "") =>
  `deployd: { repositories: [{ name: shop/web, url: "https://example.com/shop/web.git" ${more} }] }`;
const settings = (program: Evaluated) => parse(named(program, "ConfigMap", "deployd-config").data["config.yaml"]);

let before: Evaluated;
beforeAll(async () => {
  before = await render();
});

describe("the rights", () => {
  const roles = ({ objects }: Evaluated) =>
    objects.filter(({ kind, metadata }) => kind === "Role" && metadata.name === "deployd");

  it("are for a namespace without other objects of the platform", async () => {
    const limits = "limitRange: { memory: 64Mi, cpu: 10m }, quota: { pods: 9 }";
    const limited = await render(`namespaces: { deployed: { ${limits} } }`);
    for (const [program, more] of [
      [before, []],
      [limited, ["LimitRange limits", "ResourceQuota quota"]],
    ] as const) {
      expect(roles(program).map(({ metadata }) => metadata.namespace)).toEqual(["dev-deployed"]);
      const there = program.objects.filter(({ metadata }) => metadata.namespace === "dev-deployed");
      expect(there.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual(
        [...more, "Role deployd", "RoleBinding deployd"].sort(),
      );
    }
    expect(before.evaluation.outputs.namespaces).toMatchObject({ deployed: "dev-deployed" });
  });

  it("violate the policy in a namespace with Secrets and ConfigMaps of other components", () => {
    const moved = before.objects.map((object) =>
      object.kind === "Role" ? { ...object, metadata: { ...object.metadata, namespace: "dev-core" } } : object,
    );
    const problems = writeProblems(moved);
    expect(problems).toContain("Role dev-core/deployd allows pods that read Secret dev-core/minio-admin");
    expect(problems).toContain(
      "Role dev-core/deployd allows changes of ConfigMap dev-core/redis-config, which is another component's",
    );
  });

  it("exclude Secrets and Roles, and are read-only on pods", () => {
    const rules = roles(before).flatMap((role) => role.rules as { resources: string[]; verbs: string[] }[]);
    const resources = rules.flatMap((rule) => rule.resources);
    for (const one of ["secrets", "serviceaccounts/token", "roles", "rolebindings", "pods/exec", "pods/log"])
      expect(resources).not.toContain(one);
    expect(rules.find((rule) => rule.resources.includes("pods"))!.verbs).toEqual(["list"]);
  });
});

it("has the target namespace in its configuration, and a new list of repositories rolls no pod", async () => {
  const after = await render(repository(", environment: test, prune: true"));
  expect(changed(before, after)).toEqual(["ConfigMap deployd-config"]);
  expect(settings(before)).toEqual({ repositories: [] });
  expect(settings(after).repositories).toEqual([
    {
      name: "shop/web",
      url: "https://example.com/shop/web.git",
      branch: "main",
      path: "deploy/manifests",
      namespace: "dev-deployed",
      environment: "test",
      prune: true,
      repairDrift: false,
      overrideNamespace: false,
      skipUnsupported: false,
      adopt: [],
      serviceAccounts: [],
      interval: 60,
    },
  ]);
});

it("gets a new webhook secret and a new token with a rotation, and mounts the configured tokens", async () => {
  expect(changed(before, await render("deployd: { auth: { rotation: 2 } }"))).toEqual([
    "Deployment deployd",
    "Secret deployd-webhook",
  ]);
  const { stringData } = named(before, "Secret", "deployd-webhook");
  expect(Object.keys(stringData)).toEqual(["secret", "token"]);
  expect(stringData.token).not.toBe(stringData.secret);
  const { spec } = named(await render("deployd: { tokensSecret: git-tokens }"), "Deployment", "deployd");
  expect(spec.template.spec.volumes).toContainEqual({ name: "tokens", secret: { secretName: "git-tokens" } });
});
