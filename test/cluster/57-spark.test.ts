// Proves that the Job of docs/spark.md works: both workers, an Iceberg table, files by s3a, a wrong secret refused, a
// new master.
// Does not prove that an application survives the loss of the master, nor of a worker that computes.
// Exercises: spark, nessie, postgresql, minio, docs/spark.md.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { sparkImage } from "../../components/spark/schema.ts";
import type { KubeObject } from "../../render/manifests.ts";
import { address, bucketKeys, kube, podsOf, s3, secret, succeedPod, whole, wholeStack } from "./kit.ts";
import { application, ended, output } from "./spark.ts";

/** The fields of the driver's container that this file uses. */
interface Driver {
  image: string;
  command: string[];
  env: { name: string; value?: string; valueFrom?: object }[];
}

const run = randomBytes(3).toString("hex");
const made: KubeObject[] = [];

/** Starts the application of docs/spark.md under another name, with a change to its driver. */
async function submit(purpose: string, change: (driver: Driver) => void = () => {}): Promise<string> {
  const name = `${purpose}-${run}`;
  for (const object of await application(name)) {
    const { spec } = object as KubeObject & { spec: { template: { spec: { containers: [Driver] } } } };
    if (object.kind === "Job") change(spec.template.spec.containers[0]);
    await kube().create(object);
    made.push(object);
  }
  return name;
}

interface Master {
  aliveworkers: number;
  workers: { host: string; state: string }[];
  activeapps: { name: string }[];
  completedapps: { name: string; state: string }[];
}

const master = async (): Promise<Master> => {
  const response = await fetch(`http://${await address("spark", whole.apps)}:8080/json/`);
  return (await response.json()) as Master;
};

const names = { numbers: "", wrong: "", none: "" };

beforeAll(async () => {
  await wholeStack();
  await vi.waitFor(async () => expect((await master()).aliveworkers).toBe(2), { timeout: 60_000, interval: 500 });
  names.numbers = await submit("numbers", ({ image }) => expect(image).toBe(sparkImage));
});

afterAll(async () => {
  for (const object of made) await kube().delete(object);
});

describe("a driver in the cluster", () => {
  it("uses both workers, an Iceberg table in Nessie and MinIO, and files by s3a", async () => {
    const started = Date.now();
    const text = await ended(names.numbers);
    console.log(`the application took ${Math.round((Date.now() - started) / 1000)} s`);
    expect(text).toContain("sum: 500500\n");
    expect(text).toContain("files: 10\n");
    const workers = await podsOf("spark", "worker", whole.apps);
    expect(workers).toHaveLength(2);
    expect(text).toContain(`workers: ${workers.join(" ")}\n`);

    const keys = await bucketKeys("spark", whole.core);
    const client = await s3(keys.accessKey, keys.secretKey, await address("minio", whole.core));
    const objects: { name: string }[] = await client.listObjectsV2("lakehouse", "examples/", true).toArray();
    const files = objects.map(({ name }) => name);
    expect(files).toContainEqual(expect.stringMatching(/^examples\/numbers\S*\/data\/\S+\.parquet$/));
    expect(files).toContainEqual(expect.stringMatching(/^examples\/numbers\S*\/metadata\/\S+\.metadata\.json$/));
    expect(files).toContain("examples/files/_SUCCESS");

    const nessie = await address("nessie", whole.core);
    const table = await fetch(`http://${nessie}:19120/iceberg/v1/main/namespaces/examples/tables/numbers`);
    expect(table.status).toBe(200);
  }, 320_000);

  it("writes neither the secret nor a key to its log", async () => {
    const text = await output(names.numbers);
    const values = [
      await secret("spark-admin", whole.apps),
      { "secret-key": (await bucketKeys("spark", whole.apps)).secretKey },
    ];
    for (const value of values.flatMap((one) => Object.entries(one)))
      if (value[0] !== "access-key") expect(text).not.toContain(value[1]);
  });
});

describe("a driver from outside", () => {
  // After the other has ended: three drivers at once overload a small machine.
  beforeAll(async () => {
    names.wrong = await submit("wrong", ({ env }) => {
      const index = env.findIndex(({ name }) => name === "_SPARK_AUTH_SECRET");
      env[index] = { name: "_SPARK_AUTH_SECRET", value: "wrong-wrong-wrong-wrong" };
    });
    names.none = await submit("none", (driver) => {
      driver.env = driver.env.filter(({ name }) => name !== "_SPARK_AUTH_SECRET");
      driver.command.splice(1, 0, "--conf", "spark.authenticate=false");
    });
  });

  it.each([
    ["another secret", "wrong" as const, /Mismatched response/],
    ["no secret", "none" as const, /Failed to connect to master/],
  ])(
    "with %s is refused",
    async (_, which, reason) => {
      await vi.waitFor(async () => expect(await output(names[which])).toMatch(reason), {
        timeout: 120_000,
        interval: 1_000,
      });
      const { activeapps, completedapps } = await master();
      const known = [...activeapps, ...completedapps].map(({ name }) => name);
      expect(known).toContain(names.numbers);
      expect(known).not.toContain(names[which]);
    },
    150_000,
  );
});

it("the master's page links to that of a worker", async () => {
  const page = `http://${await address("spark", whole.apps)}:8080`;
  const [, path] = /href="[^"]*(\/proxy\/worker-[^"/]+)/.exec(await (await fetch(`${page}/`)).text())!;
  expect(await (await fetch(`${page}${path}/`)).text()).toContain("Spark Worker at");
});

it("workers register with a new master", async () => {
  const before = (await master()).workers.map(({ host }) => host).sort();
  await succeedPod("spark", "master", whole.apps);
  await vi.waitFor(
    async () => {
      const alive = (await master()).workers.filter(({ state }) => state === "ALIVE").map(({ host }) => host);
      expect(alive.sort()).toEqual(before);
    },
    { timeout: 120_000, interval: 500 },
  );
}, 320_000);
