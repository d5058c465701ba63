// Proves `./platform` with Docker: a kind cluster with a registry, a stack with an image that Docker built, a rolling
// update, stop and start, and nothing left at the end. The test starts its own Docker daemon.
// Does not prove Docker Desktop; nor kind's own node image if no registry is reachable, since all images are then built
// from packages.
// Exercises: polls, postgresql, apps/polls, components/django, local/images/kind-node.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Docker, noDocker, startDocker } from "./docker.ts";
import { fileOfComponents, mustRun } from "./kit.ts";
import { type Machine, machine } from "./machine.ts";

const why = await noDocker();
if (why) console.log(`skipped: 95-kind.test.ts, for ${why}`);

const node = "data-platform-control-plane";
/** Polls with its database, with a version of the image. */
const file = (version: string) =>
  fileOfComponents({
    postgresql: { enabled: true },
    polls: { enabled: true, image: `data-platform/polls:${version}` },
  });

describe.skipIf(why)("where Docker answers", { timeout: 600_000 }, () => {
  let before: Machine;
  let docker: Docker;

  beforeAll(async () => {
    // The machine has no room for both clusters. With TEST_STACK the embedded one is the user's.
    if (!process.env.TEST_STACK) await mustRun(["cluster", "down"]);
    before = await machine();
    // Images built from packages need no Docker.
    docker = await startDocker({ PLATFORM_IMAGES: "auto" });
  }, 120_000);

  afterAll(() => docker?.stop(), 120_000);

  const platform = (...args: string[]) => docker.run("./platform", args);
  const up = (version: string) => platform("up", "--stack", "dev", "--config-file", file(version));
  const containers = async () =>
    (await docker.run("docker", ["ps", "--all", "--format", "{{.Names}}"])).split("\n").filter(Boolean).sort();
  const kubectl = (...args: string[]) => docker.run("docker", ["exec", node, "kubectl", ...args]);

  /** The stack's pods except those of Jobs: name without the random suffix, UID, image and readiness. */
  async function pods(): Promise<Record<string, { uid: string; image: string; ready: boolean }>> {
    const { items } = JSON.parse(await kubectl("get", "pods", "--all-namespaces", "--output", "json")) as {
      items: {
        metadata: { name: string; namespace: string; uid: string; deletionTimestamp?: string };
        spec: { restartPolicy: string; containers: { image: string }[] };
        status: { conditions?: { type: string; status: string }[] };
      }[];
    };
    return Object.fromEntries(
      items
        .filter(({ metadata }) => metadata.namespace.startsWith("dev-") && !metadata.deletionTimestamp)
        .filter(({ spec }) => spec.restartPolicy === "Always")
        .map(({ metadata, spec, status }) => [
          metadata.name.replace(/-[0-9a-f]+-\w{5}$/, ""),
          {
            uid: metadata.uid,
            image: spec.containers[0]!.image,
            ready: status.conditions!.some(({ type, status }) => type === "Ready" && status === "True"),
          },
        ]),
    );
  }

  it("creates a kind cluster and brings up a stack with an image that Docker built", async () => {
    const said = await up("1.0.0");
    expect(said).toContain("cluster: kind, in Docker");
    expect(await containers()).toEqual([node, "data-platform-registry"]);
    expect(await docker.run("docker", ["images", "--format", "{{.Repository}}:{{.Tag}}"])).toContain(
      "localhost:5001/data-platform/polls:1.0.0",
    );
    const running = await pods();
    expect(Object.keys(running).sort()).toEqual(["polls", "postgresql-0"]);
    expect(Object.values(running).every(({ ready }) => ready)).toBe(true);
  });

  it("rolls only polls for a new version of it", async () => {
    const first = await pods();
    await up("1.0.1");
    const second = await pods();
    expect(second.polls).toMatchObject({ image: "data-platform/polls:1.0.1", ready: true });
    expect(second.polls!.uid).not.toBe(first.polls!.uid);
    expect(second["postgresql-0"]).toEqual(first["postgresql-0"]);
  });

  it("stops the cluster, and starts it again with its data", async () => {
    const first = await pods();
    await platform("cluster", "down");
    expect(await docker.run("docker", ["ps", "--quiet"])).toBe("");
    await up("1.0.1");
    expect(await pods()).toEqual(first);
  });

  it("leaves nothing after destroy and cluster down", async () => {
    await platform("destroy", "--stack", "dev", "--config-file", file("1.0.1"));
    expect(await pods()).toEqual({});
    expect(await kubectl("get", "persistentvolumes", "--output", "name")).toBe("");
    await platform("cluster", "down", "--delete-data");
    expect(await containers()).toEqual([]);
    expect(await docker.run("docker", ["volume", "ls", "--quiet"])).toBe("");
    await docker.stop();
    // Other processes of the machine come and go.
    if (!process.env.TEST_STACK) expect(await machine()).toEqual(before);
  });
});
