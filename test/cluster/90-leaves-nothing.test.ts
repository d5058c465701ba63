// Proves that `destroy` and `cluster down` remove processes, mounts, interfaces, firewall rules, namespaces and
// cgroups.
// Does not prove anything else about the machine: packages that were installed stay.
// Exercises: postgresql, redis, minio.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { stateDir } from "../../config/paths.ts";
import { mustRun, roomFor } from "./kit.ts";
import { machine } from "./machine.ts";

it("destroy and cluster down leave the machine as it was", { timeout: 600_000 }, async () => {
  await roomFor("dev");
  await mustRun(["up", "--stack", "dev"]);
  const during = await machine();
  expect(during.processes).toEqual(expect.arrayContaining(["kubelet", "postgres", "redis-server", "minio"]));
  expect(during.interfaces.length).toBeGreaterThan(inject("before").interfaces.length);
  expect(during.rules.length).toBeGreaterThan(inject("before").rules.length);

  await mustRun(["destroy", "--stack", "dev"]);
  await mustRun(["cluster", "down", "--delete-data"]);
  expect(await machine()).toEqual(inject("before"));
  expect(existsSync(join(stateDir(), "cluster"))).toBe(false);
});
