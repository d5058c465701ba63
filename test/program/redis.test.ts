// Proves that the platform's Redis and the web app's Redis are one component that differs only where their clients need
// it.
// Does not prove that Redis starts with them: the cluster tests do.
import { beforeAll, expect, it } from "vitest";
import type { KubernetesObject } from "../../policy/rules/index.ts";
import { type Evaluated, evaluated, named } from "./stacks.ts";

let test: Evaluated;
let platform: KubernetesObject;
let webApp: KubernetesObject;
beforeAll(async () => {
  test = await evaluated("test");
  platform = named(test, "StatefulSet", "redis");
  webApp = named(test, "Deployment", "app-test-deployment-redis");
});

const container = ({ spec }: KubernetesObject) => spec.template.spec.containers[0];
const script = (workload: KubernetesObject): string => container(workload).command.at(-1);
const conf = (name: string) => (named(test, "ConfigMap", name).data as Record<string, string>)["redis.conf"] ?? "";
const setting = (name: string, directive: string) => new RegExp(`^${directive} (.*)$`, "m").exec(conf(name))?.[1];

it("both have the same user, probes, ports and mounts", () => {
  const fields = (workload: KubernetesObject) => {
    const { startupProbe, readinessProbe, livenessProbe, ports, volumeMounts, securityContext } = container(workload);
    const { runAsUser, fsGroup } = workload.spec.template.spec.securityContext;
    return { startupProbe, readinessProbe, livenessProbe, ports, volumeMounts, securityContext, runAsUser, fsGroup };
  };
  expect(fields(webApp)).toEqual(fields(platform));
});

it("both log every write to the append-only file; only the web app's writes snapshots too", () => {
  for (const name of ["redis-config", "app-test-config-redis"]) {
    expect(setting(name, "appendonly")).toBe("yes");
    expect(setting(name, "appendfsync")).toBe("everysec");
  }
  expect(setting("redis-config", "save")).toBe('""');
  expect(setting("app-test-config-redis", "save")).toBe("3600 1 300 100");
});

it("both limit their data to 60 % of the container's memory", () => {
  const expected = ({ spec }: KubernetesObject) =>
    `${Math.floor(Number.parseInt(spec.template.spec.containers[0].resources.limits.memory, 10) * 0.6)}mb`;
  expect(setting("redis-config", "maxmemory")).toBe(expected(platform));
  expect(setting("app-test-config-redis", "maxmemory")).toBe(expected(webApp));
});

it("only the web app's waits for a lock on the volume, since a Deployment may briefly run two pods", () => {
  expect(script(webApp)).toMatch(/^flock 9\nexec redis-server/m);
  expect(script(platform)).not.toContain("flock");
});

it("only the web app's has the password of another server: a restore makes it a replica", () => {
  expect(script(webApp)).toContain("masterauth");
  expect(script(platform)).not.toContain("masterauth");
});
