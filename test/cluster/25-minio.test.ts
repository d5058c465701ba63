// Proves that four MinIO servers, as prod has them, find each other and serve while one is away. All four run on one
// node here: it does not prove the loss of a node.
import { afterAll, beforeAll, expect, it } from "vitest";
import { address, get, kube, mustRun, read, ready, s3, secret, stackFile, withoutApplications } from "./kit.ts";

const namespace = "test-core";

beforeAll(async () => {
  // Each of the four within what one machine has: sizes are not what is tried here.
  const file = stackFile("dev", `${withoutApplications}\nminio: { replicas: 4, storage: { size: 1Gi } }`);
  await mustRun(["up", "--stack", "test", "--engine", "apply", "--config-file", file]);
});

afterAll(async () => {
  await mustRun(["destroy", "--stack", "test"]);
});

it("four servers keep what they are given while one is away, and it comes back", async () => {
  const keys = await secret("minio-platform", namespace);
  const client = await s3(keys["access-key"]!, keys["secret-key"]!, await address("minio", namespace));
  await client.putObject("lakehouse", "before", "kept");
  const gone = (await get("Pod", "minio-2", namespace))!;
  await kube().delete(gone);
  expect(await read(client, "lakehouse", "before")).toBe("kept");
  await client.putObject("lakehouse", "during", "kept too");
  await ready("minio-2", namespace, gone.metadata.uid as string);
  expect(await read(client, "lakehouse", "during")).toBe("kept too");
});
