// Proves that three Kafka nodes with data get logins and lose them by one `up` each, get another password for themselves
// by another one, and lose no confirmed message; and that one node restarts as it did before.
// Does not prove what each user may do: 63-separate-users.test.ts does.
// Exercises: kafka.
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { connected, failure, readFirst, topicsOf, write } from "./kafka.ts";
import { fileOfComponents, get, mustRun, replacePod, resolveClusterNames, roomFor } from "./kit.ts";

const apps = "dev-apps";
const values = Array.from({ length: 1_000 }, (_, i) => `message ${i}`);
const up = (separateUsers: boolean, nodeRotation = 1) =>
  mustRun([
    ...["up", "--stack", "dev", "--config-file"],
    fileOfComponents({
      global: { separateUsers },
      kafka: {
        enabled: true,
        replicas: 3,
        topics: { kept: {} },
        auth: { nodeRotation },
        ...(separateUsers && { users: { shop: { topics: { read: ["kept"], write: ["kept"] }, groups: ["shop"] } } }),
      },
    }),
  ]);
const shop = () => connected(apps, "kafka-user-shop");
const uids = () => Promise.all([0, 1, 2].map(async (n) => (await get("Pod", `kafka-${n}`, apps))?.metadata.uid));

beforeAll(async () => {
  await roomFor(undefined);
  await up(false);
  await resolveClusterNames();
  await write(await connected(apps), "kept", values);
});

afterAll(async () => {
  vi.restoreAllMocks();
  await mustRun(["destroy", "--stack", "dev"]);
});

it("gets logins: all nodes restart, and every message is there", async () => {
  const before = await uids();
  await up(true);
  expect((await uids()).filter((uid) => before.includes(uid))).toEqual([]);
  expect(await failure(topicsOf(await connected(apps)))).toContain("Connection closed");
  expect(await readFirst(await shop(), "kept", "shop", values.length)).toEqual(values);
});

it("loses one node and has it back", async () => {
  await replacePod("kafka-1", apps);
  await write(await shop(), "kept", ["one more"]);
});

it("gets another password for its nodes", async () => {
  const before = await uids();
  await up(true, 2);
  expect((await uids()).filter((uid) => before.includes(uid))).toEqual([]);
  expect(await readFirst(await shop(), "kept", "shop", values.length + 1)).toEqual([...values, "one more"]);
});

it("loses its logins again", async () => {
  await up(false, 2);
  expect(await readFirst(await connected(apps), "kept", "anybody", values.length + 1)).toEqual([...values, "one more"]);
});
