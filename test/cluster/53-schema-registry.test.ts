// Proves that the Schema Registry serves a client of Confluent's API: it keeps schemas in Kafka and refuses
// incompatible ones.
// Does not prove several servers, nor a serializer.
// Exercises: schema-registry, kafka.
import { beforeAll, describe, expect, it } from "vitest";
import { address, leadsToPods, succeedPod, whole, wholeStack } from "./kit.ts";

const subject = `proof-${Date.now()}-value`;
let base: string;

beforeAll(async () => {
  await wholeStack();
  base = `http://${await address("schema-registry", whole.apps)}:8085/apis/ccompat/v7`;
});

async function call(method: string, path: string, body?: object) {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { "Content-Type": "application/vnd.schemaregistry.v1+json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

const order = (...fields: object[]) => JSON.stringify({ type: "record", name: "Order", fields });
const number = { name: "number", type: "int" };
const first = order(number);
const second = order(number, { name: "note", type: "string", default: "" });
const breaking = order({ name: "number", type: "string" });

const register = (schema: string) => call("POST", `/subjects/${subject}/versions`, { schema });

describe("a subject", () => {
  it("accepts a schema and serves it by ID and by version", async () => {
    expect(await call("GET", `/subjects/${subject}/versions`)).toMatchObject({
      status: 404,
      body: { error_code: 40401 },
    });
    const { status, body } = await register(first);
    expect(status).toBe(200);
    expect(await call("GET", `/schemas/ids/${body.id}`)).toMatchObject({ status: 200, body: { schema: first } });
    expect(await call("GET", `/subjects/${subject}/versions/1`)).toMatchObject({
      body: { subject, version: 1, id: body.id, schema: first },
    });
    expect((await call("GET", "/subjects")).body).toContain(subject);
    // A producer registers its schema at each start: the ID stays the same.
    expect(await register(first)).toMatchObject({ status: 200, body: { id: body.id } });
  });

  it("refuses an incompatible schema by default", async () => {
    expect((await call("GET", "/config")).body).toEqual({ compatibilityLevel: "BACKWARD" });
    expect(await register(breaking)).toMatchObject({ status: 409, body: { error_code: 409 } });
    expect((await call("GET", `/subjects/${subject}/versions`)).body).toEqual([1]);
  });

  it("refuses an invalid schema", async () => {
    expect(await register("{")).toMatchObject({ status: 422, body: { error_code: 42201 } });
  });

  it("accepts a compatible one as the next version", async () => {
    expect((await register(second)).status).toBe(200);
    expect((await call("GET", `/subjects/${subject}/versions`)).body).toEqual([1, 2]);
  });
});

describe("the deletion of the registry's pod", () => {
  it("loses no schema, and no rule", async () => {
    await call("PUT", `/config/${subject}`, { compatibility: "FULL" });
    const before = await call("GET", `/subjects/${subject}/versions/2`);
    expect(before.body.schema).toBe(second);
    await succeedPod("schema-registry", "server", whole.apps);
    await leadsToPods("schema-registry", 8085, whole.apps);
    expect(await call("GET", `/subjects/${subject}/versions/2`)).toEqual(before);
    expect((await call("GET", `/config/${subject}`)).body).toEqual({ compatibilityLevel: "FULL" });
    expect((await register(breaking)).status).toBe(409);
  });
});
