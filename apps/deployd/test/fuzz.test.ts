// Proves that any configuration, webhook or manifest is accepted or refused in one line: no other error, no answer of 500,
// no end of the process. FUZZ_SECONDS makes each search longer; default 5 seconds.
// Does not prove that what is accepted does what its author meant.
import { createHmac } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { stringify } from "yaml";
import { admit } from "../src/admission.ts";
import { makeMetrics } from "../src/metrics.ts";
import { render } from "../src/render.ts";
import { makeServer } from "../src/server.ts";
import { parseSettings } from "../src/settings.ts";
import { FakeCluster } from "./fake-cluster.ts";

const seconds = Number(process.env.FUZZ_SECONDS ?? 5);
const bounded = { numRuns: 1_000_000, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false };
const timeout = { timeout: 30_000 + seconds * 2_000 };

const text = fc.oneof(fc.string({ unit: "binary", maxLength: 60 }), fc.string({ unit: "grapheme", maxLength: 60 }));
const anything = fc.anything({ maxDepth: 3, withNullPrototype: false });
/** An error for people: one line, and not one of JavaScript's own. */
function isSentence(error: unknown): void {
  expect(error).toBeInstanceOf(Error);
  expect(error).not.toBeInstanceOf(TypeError);
  expect(error).not.toBeInstanceOf(RangeError);
  expect((error as Error).message).toMatch(/^[^\n]{5,1200}$/);
}

const repository = { name: "team/app", url: "https://example.com/team/app.git", namespace: "apps" };

it("a configuration", timeout, () => {
  const key = fc.constantFrom(
    "name",
    "url",
    "branch",
    "path",
    "namespace",
    "environment",
    "adopt",
    "token",
    "interval",
  );
  const file = fc.oneof(
    text,
    anything.map((value) => stringify(value)),
    fc
      .tuple(key, fc.oneof(text, anything))
      .map(([field, value]) => stringify({ repositories: [{ ...repository, [field]: value }] })),
  );
  fc.assert(
    fc.property(file, (contents) => {
      try {
        for (const { name } of parseSettings(contents)) expect(name).toMatch(/^[\w.-]+\/[\w.-]+$/);
      } catch (error) {
        isSentence(error);
      }
    }),
    bounded,
  );
});

it("a webhook", timeout, async () => {
  const [secret, token] = ["a secret of some length", "a token of some length"];
  const app = await makeServer({
    fleet: { get: () => undefined, all: () => [], of: () => [] },
    configuration: { readAt: null, error: null },
    metrics: makeMetrics(),
    webhookSecret: async () => secret,
    apiToken: async () => token,
  });
  const types = ["application/json", "application/x-www-form-urlencoded", "text/plain", "application/json; charset=x"];
  const body = fc.oneof(
    text,
    anything.map((value) => JSON.stringify(value) ?? ""),
    fc.record({ ref: text, repository: fc.record({ full_name: text }) }).map((push) => JSON.stringify(push)),
    text.map((value) => `payload=${value}`),
  );
  await fc.assert(
    fc.asyncProperty(
      body,
      fc.constantFrom(...types),
      fc.constantFrom("push", "ping", "pull_request", ""),
      fc.boolean(),
      async (payload, type, event, signed) => {
        const by = signed ? secret : "another";
        const { statusCode } = await app.inject({
          method: "POST",
          url: "/webhook",
          payload,
          headers: {
            "content-type": type,
            "x-github-event": event,
            "x-hub-signature-256": `sha256=${createHmac("sha256", by).update(payload).digest("hex")}`,
          },
        });
        expect(signed ? [202, 400, 404, 413, 415] : [401, 415]).toContain(statusCode);
      },
    ),
    bounded,
  );
  await app.close();
});

it("a manifest", timeout, async () => {
  const [settings] = parseSettings(stringify({ repositories: [repository] }));
  if (!settings) throw new Error("no settings");
  const folder = mkdtempSync(join(tmpdir(), "fuzz-test-"));
  mkdirSync(join(folder, "deploy/manifests"), { recursive: true });
  const object = fc.record(
    {
      apiVersion: fc.oneof(fc.constantFrom("v1", "apps/v1", "v1#", "../v1"), anything),
      kind: fc.oneof(fc.constantFrom("ConfigMap", "Deployment", "Job", "List", "../x"), anything),
      metadata: fc.oneof(
        fc.record({ name: fc.oneof(fc.constantFrom("a", "..", "%2e"), text), labels: anything }),
        anything,
      ),
      spec: fc.oneof(fc.record({ template: fc.record({ spec: anything }) }), anything),
      items: anything,
    },
    { requiredKeys: [] },
  );
  const manifest = fc.oneof(
    text,
    object.map((value) => stringify(value)),
    object.map((value) => JSON.stringify(value)),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  const cluster = new FakeCluster();
  try {
    await fc.assert(
      fc.asyncProperty(manifest, fc.constantFrom("a.yaml", "a.yml", "a.json"), async (contents, name) => {
        const file = join(folder, "deploy/manifests", name);
        writeFileSync(file, contents);
        const take = async () => "folder" as const;
        try {
          const objects = await render(
            { folder, take },
            settings,
            () => cluster.capabilities(),
            new AbortController().signal,
          );
          await admit(cluster, objects, settings);
        } catch (error) {
          isSentence(error);
        } finally {
          rmSync(file);
        }
      }),
      bounded,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
