// Proves that four MinIO servers, as in prod, form one cluster and serve while one of them is down.
// Does not prove the loss of a node: all four run on one.
// Exercises: minio.
import { afterAll, beforeAll, expect, it } from "vitest";
import { address, get, kube, mustRun, read, roomFor, s3, secret, stackFile, withoutApplications } from "./kit.ts";

const namespace = "test-core";

beforeAll(async () => {
  await roomFor("test");
  // Small, so that all four fit on one machine.
  const file = stackFile("dev", `${withoutApplications}\nminio: { replicas: 4, storage: { size: 1Gi } }`);
  await mustRun(["up", "--stack", "test", "--config-file", file]);
});

afterAll(async () => {
  await mustRun(["destroy", "--stack", "test"]);
});

/** Whether the server is down, and whether it is back as a pod with another UID. */
async function minio2(uid: string) {
  const pod = await get("Pod", "minio-2", namespace);
  const [{ ready } = { ready: false }] = (pod?.status?.containerStatuses ?? []) as { ready: boolean }[];
  return { away: !ready, back: ready && pod!.metadata.uid !== uid };
}

it("four servers keep accepting writes while one is down, and it returns", async () => {
  const keys = await secret("minio-platform", namespace);
  const client = await s3(keys["access-key"]!, keys["secret-key"]!, await address("minio", namespace));
  await client.putObject("lakehouse", "before", "kept");
  const gone = (await get("Pod", "minio-2", namespace))!;
  await kube().delete(gone);

  const written: string[] = [];
  let whileAway = 0;
  for (let back = false; !back; ) {
    const now = await minio2(gone.metadata.uid as string);
    expect(await read(client, "lakehouse", "before")).toBe("kept");
    await client.putObject("lakehouse", `during-${written.length}`, `kept ${written.length}`);
    written.push(`kept ${written.length}`);
    if (now.away) whileAway++;
    back = now.back;
  }
  console.log(`${written.length} objects written, ${whileAway} of them while one server was away`);
  expect(whileAway).toBeGreaterThan(0);
  for (const [i, text] of written.entries()) expect(await read(client, "lakehouse", `during-${i}`)).toBe(text);
});
