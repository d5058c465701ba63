// Proves the life of a stack: repeated `up`, changes, rotations, interruptions, two commands at once, a node restart.
// Does not prove upgrades from released versions. 45-interrupted.test.ts has more interruptions.
// Exercises: postgresql, redis, minio.
import { once } from "node:events";
import { Redis } from "ioredis";
import { beforeAll, describe, expect, it } from "vitest";
import {
  address,
  interrupted,
  mustRun,
  platform,
  pods,
  query,
  reachable,
  read,
  ready,
  roomFor,
  s3,
  secret,
  stackFile,
  unchanged,
  withoutApplications,
} from "./kit.ts";

/** Brings up the core of `dev` with changes. */
const command = (changes = "") => [
  ...["up", "--stack", "dev"],
  ...["--config-file", stackFile("dev", `${withoutApplications}\n${changes}`)],
];
const up = (changes?: string) => mustRun(command(changes));

const names = ["postgresql-admin", "postgresql-user-nessie", "redis-admin", "minio-admin", "minio-platform"];
const passwords = () => Promise.all(names.map((name) => secret(name)));

/** The value of a key. Throws the server's error. */
const redisGet = async (password: string, key: string) => {
  const client = new Redis({ host: await address("redis"), password, lazyConnect: true, retryStrategy: () => null });
  let refusal: Error | undefined;
  client.on("error", (error) => {
    refusal ??= error;
  });
  try {
    return await client.get(key).catch((error) => {
      throw refusal ?? error;
    });
  } finally {
    client.disconnect();
  }
};

/** A row, a key and an object, in databases and a bucket that no other test uses. */
async function keep(word: string) {
  const { password = "" } = await secret("postgresql-user-superset");
  await query("superset", password, "CREATE TABLE IF NOT EXISTS kept (word text)");
  await query("superset", password, "TRUNCATE kept");
  await query("superset", password, `INSERT INTO kept VALUES ('${word}')`);
  const client = new Redis({ host: await address("redis"), password: (await secret("redis-admin")).password });
  await client.set("life", word);
  client.disconnect();
  const keys = await secret("minio-platform");
  await (await s3(keys["access-key"]!, keys["secret-key"]!)).putObject("warehouse", "life", word);
}

async function kept(): Promise<unknown[]> {
  const { password = "" } = await secret("postgresql-user-superset");
  const rows = (await query("superset", password, "SELECT word FROM kept")) as { word: string }[];
  const keys = await secret("minio-platform");
  return [
    rows[0]?.word,
    await redisGet((await secret("redis-admin")).password!, "life"),
    await read(await s3(keys["access-key"]!, keys["secret-key"]!), "warehouse", "life"),
  ];
}

/** The pods of StatefulSets that were replaced. Pods of Jobs come and go by design. */
const rolled = (before: Record<string, string>, after: Record<string, string>) =>
  Object.keys(after).filter((name) => /^[a-z]+-\d+$/.test(name) && before[name] !== after[name]);

beforeAll(async () => {
  await roomFor("dev");
  await up();
  await keep("kept");
});

describe("a second run", () => {
  it("changes no object, pod or password, and reports that", async () => {
    const before = [await pods(), await passwords()];
    expect(await up()).toMatch(unchanged);
    expect([await pods(), await passwords()]).toEqual(before);
  });
});

describe("a change of configuration", () => {
  it.each([
    ["redis: { maxMemoryPercent: 50 }", ["redis-0"]],
    ["postgresql: { maxConnections: 60 }", ["postgresql-0"]],
    ["postgresql: { databases: [sales] }", []],
  ])("%s rolls the right pod and no other", async (changes, expected) => {
    await up();
    const before = await pods();
    await up(changes);
    expect(rolled(before, await pods())).toEqual(expected);
    expect(await up(changes)).toMatch(unchanged);
  });

  it("creates a database for an added user", async () => {
    await up("postgresql: { databases: [sales] }");
    const { password = "" } = await secret("postgresql-user-sales");
    expect(await query("sales", password, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  it("that shrinks a volume is refused before anything happens", async () => {
    const [running, known] = [await pods(), await passwords()];
    const { exitCode, all } = await platform(command("redis: { storage: { size: 512Mi }, maxMemoryPercent: 40 }"));
    expect(exitCode).toBe(2);
    expect(all).toContain("stack dev: redis.storage.size: found 512Mi; expected at least 1Gi");
    expect(rolled(running, await pods())).toEqual([]);
    expect(await passwords()).toEqual(known);
  });
});

describe("a rotation", () => {
  it("makes passwords that work, invalidates the old ones, and keeps the data", async () => {
    await up();
    const [admin, nessie, redis, root, platformKeys] = await passwords();
    await up(["postgresql", "redis", "minio"].map((component) => `${component}: { auth: { rotation: 2 } }`).join("\n"));
    const [newAdmin, newNessie, newRedis, newRoot, newKeys] = await passwords();

    await expect(query("postgres", admin!.password!, "SELECT 1")).rejects.toThrow(/authentication failed/);
    await expect(query("nessie", nessie!.password!, "SELECT 1")).rejects.toThrow(/authentication failed/);
    expect(await query("postgres", newAdmin!.password!, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    expect(await query("nessie", newNessie!.password!, "SELECT 1 AS one")).toEqual([{ one: 1 }]);

    await expect(redisGet(redis!.password!, "life")).rejects.toThrow(/WRONGPASS/);
    expect(await redisGet(newRedis!.password!, "life")).toBe("kept");

    const list = async (user: string, password: string) => (await s3(user, password)).listBuckets();
    await expect(list("admin", root!["root-password"]!)).rejects.toThrow(/signature/i);
    await expect(list("platform", platformKeys!["secret-key"]!)).rejects.toThrow(/signature/i);
    expect((await list("admin", newRoot!["root-password"]!)).length).toBeGreaterThan(0);
    expect((await list("platform", newKeys!["secret-key"]!)).length).toBeGreaterThan(0);

    expect(await kept()).toEqual(["kept", "kept", "kept"]);
  });
});

describe("an interruption", () => {
  it("while the cluster starts or stops is repaired by the next run", async () => {
    await keep("kept");
    for (const moment of [1_000, 3_000, 5_000])
      for (const args of [["cluster", "down"], command()]) await interrupted(args, "SIGKILL", moment, true);
    await up();
    await Promise.all(["postgresql-0", "redis-0", "minio-0"].map((pod) => ready(pod)));
    await reachable();
    expect(await kept()).toEqual(["kept", "kept", "kept"]);
  });

  it("in the middle of a rotation leaves passwords that work", async () => {
    const changes = "postgresql: { auth: { rotation: 7 } }\nminio: { auth: { rotation: 7 } }";
    const began = Date.now();
    expect(await up()).toMatch(unchanged);
    const length = Date.now() - began;
    // A rotation takes longer than `length`: the first kills come before any change, the last while its Jobs run.
    for (const share of [0.5, 0.8, 1.1]) await interrupted(command(changes), "SIGKILL", share * length, true);
    await up(changes);
    expect(await up(changes)).toMatch(unchanged);
    expect(await kept()).toEqual(["kept", "kept", "kept"]);
  });
});

describe("two commands at once", () => {
  it("the second reports that one is running, and the first succeeds", async () => {
    const first = platform(command());
    // The first has the lock as soon as it prints anything.
    await once(first.all!, "data");
    const second = await platform(command());
    expect(second.exitCode).toBe(1);
    expect(second.all).toMatch(/is running/);
    expect((await first).exitCode).toBe(0);
  });
});

describe("a restart of the node", () => {
  it("loses no row, no key and no object", async () => {
    await keep("after the restart");
    await mustRun(["cluster", "down"]);
    await mustRun(["cluster", "up"]);
    await Promise.all(["postgresql-0", "redis-0", "minio-0"].map((pod) => ready(pod)));
    await reachable();
    expect(await kept()).toEqual(["after the restart", "after the restart", "after the restart"]);
    expect(await up()).toMatch(unchanged);
  });
});
