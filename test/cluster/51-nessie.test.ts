// Proves that Nessie keeps branches and tags when its pod is deleted, and serves the Iceberg REST catalog over the
// bucket.
// Does not prove several servers, nor tables: the tests of Trino and Spark create them.
// Exercises: nessie, postgresql, minio.
import { beforeAll, describe, expect, it } from "vitest";
import { address, bucketKeys, leadsToPods, succeedPod, whole, wholeStack } from "./kit.ts";

let nessie: string;
beforeAll(async () => {
  await wholeStack();
  nessie = `http://${await address("nessie", whole.core)}:19120`;
});

interface Reference {
  type: string;
  name: string;
  hash: string;
}

async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await fetch(nessie + path, {
    method,
    headers: { "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? (JSON.parse(text) as T) : (undefined as T);
}

const reference = async (name: string) =>
  (await request<{ reference: Reference }>("GET", `/api/v2/trees/${name}`)).reference;

/** Deletes a branch or tag that an earlier run left. */
async function forget(type: string, name: string): Promise<void> {
  const { references } = await request<{ references: Reference[] }>("GET", "/api/v2/trees");
  const left = references.find((one) => one.name === name);
  if (left) await request("DELETE", `/api/v2/trees/${name}@${left.hash}?type=${type}`);
}

describe("Nessie", () => {
  it("keeps a branch and a tag when its pod is deleted", async () => {
    const main = await reference("main");
    for (const [type, name] of [
      ["BRANCH", "experiment"],
      ["TAG", "release-1"],
    ] as const) {
      await forget(type, name);
      await request("POST", `/api/v2/trees?name=${name}&type=${type}`, main);
    }

    await succeedPod("nessie", "server", whole.core);
    await leadsToPods("nessie", 19120, whole.core);

    expect(await reference("experiment")).toEqual({ type: "BRANCH", name: "experiment", hash: main.hash });
    expect(await reference("release-1")).toEqual({ type: "TAG", name: "release-1", hash: main.hash });
  });

  it("is an Iceberg REST catalog over the platform's bucket", async () => {
    const { defaults, overrides } = await request<Record<"defaults" | "overrides", Record<string, string>>>(
      "GET",
      "/iceberg/v1/config?warehouse=lakehouse",
    );
    expect(defaults.warehouse).toBe("s3://lakehouse");
    expect(overrides["s3.endpoint"]).toBe(`http://minio.${whole.core}.svc:9000/`);
    // This configuration is readable without authentication, so it must hold no keys. Clients use their own.
    const { accessKey: access, secretKey: key } = await bucketKeys("nessie", whole.core);
    const values = Object.values({ ...defaults, ...overrides });
    expect(values.filter((value) => value === access || value.includes(key))).toEqual([]);
  });

  it("refuses a name that already exists", async () => {
    const main = await reference("main");
    await expect(request("POST", "/api/v2/trees?name=main&type=BRANCH", main)).rejects.toThrow(/409/);
  });
});
