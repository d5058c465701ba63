// Proves that on OpenShift no pod names a user or a group, that nothing asks for more than its constraint restricted-v2,
// and that software which looks up its user finds one; and that elsewhere each pod names its user as before.
// Does not prove that images start under any user id: test/cluster/65-any-user.test.ts does, on a cluster.
import { beforeAll, describe, expect, it } from "vitest";
import { containersOf, podOf, rules } from "../../policy/rules/index.ts";
import { type Evaluated, evaluated, named, stacks } from "./stacks.ts";

const everything = `
global: { cluster: openshift }
monitoring: { enabled: true }
spark: { history: { enabled: true } }
webApp: { debug: true }
`;

const podsOf = ({ objects }: Evaluated) =>
  objects.flatMap((object) => {
    const pod = podOf(object);
    return pod ? [{ title: `${object.kind} ${object.metadata.name}`, spec: pod.spec }] : [];
  });

describe("openshift", () => {
  let program: Evaluated;
  beforeAll(async () => {
    program = await evaluated("test", { changes: everything });
  });

  it("no pod and no container names a user or a group", () => {
    const all = podsOf(program);
    expect(all.length).toBeGreaterThan(30);
    for (const { title, spec } of all)
      for (const context of [spec.securityContext, ...containersOf(spec).map((one) => one.securityContext)])
        expect(
          Object.keys(context).filter((key) => /^(runAsUser|runAsGroup|fsGroup|supplementalGroups)$/.test(key)),
          title,
        ).toEqual([]);
  });

  it("every pod keeps to restricted-v2: the rules of the platform, and its volumes", () => {
    const allowed = ["configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"];
    for (const object of program.objects) expect(rules.restricted?.(object), object.metadata.name).toEqual([]);
    for (const { title, spec } of podsOf(program))
      for (const { name: _, ...source } of spec.volumes ?? []) expect(allowed, title).toContain(Object.keys(source)[0]);
  });

  it("nothing binds a constraint, and rights are those of other clusters", async () => {
    const roles = ({ objects }: Evaluated) => objects.filter(({ kind }) => /Role|Security/.test(kind));
    const elsewhere = await evaluated("test", { changes: everything.replace("openshift", "plain") });
    expect(roles(program)).toEqual(roles(elsewhere));
    expect(JSON.stringify(program.objects)).not.toContain("security.openshift.io");
  });

  it("Services of applications are inside, since Routes and Ingresses lead to them", () => {
    expect(named(program, "Service", "polls").spec.type).toBe("ClusterIP");
  });

  it.each([
    ["StatefulSet", "postgresql", "postgres"],
    ["Deployment", "spark-master", "spark"],
    ["Deployment", "spark-worker", "spark"],
    ["Deployment", "spark-history", "spark"],
    ["Deployment", "flink-jobmanager", "flink"],
    ["Deployment", "flink-taskmanager", "flink"],
    ["Deployment", "airflow-scheduler", "airflow"],
  ])("%s %s finds its user in /etc/passwd, as %s", (kind, name, user) => {
    const { spec } = named(program, kind, name).spec.template;
    const [first, ...others] = containersOf(spec);
    expect(first).toMatchObject({ name: "names-user", image: spec.containers[0].image });
    expect(first.command.at(-1)).toBe(user);
    for (const { volumeMounts } of others)
      expect(volumeMounts).toContainEqual({
        name: "names-user",
        mountPath: "/etc/passwd",
        subPath: "passwd",
        readOnly: true,
      });
  });

  it("a user that the stack names is kept: it has the right to it", async () => {
    const changes = "global: { cluster: openshift }\nredis: { pods: { runAsUser: 4242 } }";
    const { securityContext } = named(await evaluated("dev", { changes }), "StatefulSet", "redis").spec.template.spec;
    expect(securityContext).toMatchObject({ runAsUser: 4242, runAsNonRoot: true });
  });
});

it.each(stacks)("elsewhere each pod of %s names its user, and no container writes accounts", async (stack) => {
  for (const { title, spec } of podsOf(await evaluated(stack))) {
    expect(spec.securityContext.runAsUser, title).toBeGreaterThan(0);
    expect(spec.securityContext.fsGroup, title).toBeGreaterThanOrEqual(0);
    expect(containersOf(spec).map(({ name }) => name)).not.toContain("names-user");
  }
});
