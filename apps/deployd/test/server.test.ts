// Proves that every answer of the API has the form that its OpenAPI document names, whatever the request, and which
// requests are authenticated.
// Does not prove what the answers say about a real cluster, nor TLS: nothing here listens on a network.
import { createHmac } from "node:crypto";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { Deployment } from "../src/deployment.ts";
import { makeMetrics } from "../src/metrics.ts";
import { isSigned, makeServer } from "../src/server.ts";

const secret = "It's a Secret to Everybody";
/** What the mounted Secret holds; some tests change it. */
const token = "a-token-of-thirty-two-characters";
const credentials = { secret, token };
const sign = (body: string, by = secret) => `sha256=${createHmac("sha256", by).update(body).digest("hex")}`;

const brief = {
  repository: "team/app",
  phase: "failed" as const,
  message: "Commit 0123456789 runs. no",
  commit: "0123456789",
  deployedAt: "2026-01-01T00:00:00.000Z",
  head: null,
  checkedAt: null,
  error: { message: "no", at: "2026-01-01T00:00:00.000Z", commit: null, retryAt: null },
  partial: { commit: "1123456789", applied: ["ConfigMap a"] },
  skipped: ["Role a: deployd has no right to get roles in this namespace"],
  drift: ["ConfigMap a: changed"],
  settings: {
    url: "https://example.com/team/app.git",
    branch: "main",
    path: "deploy/manifests",
    namespace: "apps",
    environment: null,
    prune: false,
    repairDrift: false,
    interval: 60,
  },
};
const object = { apiVersion: "v1", kind: "ConfigMap", name: "a", ready: null, done: true, message: null };
const triggered = vi.fn();
const deployment = {
  settings: { name: "team/app", branch: "main" },
  brief: () => brief,
  summary: async () => ({ ...brief, objects: [object], raw: [{ kind: "ConfigMap", data: { x: [1] } }] }),
  diff: async () => ({
    repository: "team/app",
    commit: "0",
    changes: [{ kind: "A", name: "a", change: "change", diff: "-" }],
  }),
  trigger: triggered,
} as unknown as Deployment;
const away = {
  ...deployment,
  summary: () => Promise.reject(new Error("cannot reach the cluster")),
  diff: async () => undefined,
} as unknown as Deployment;

/** Another entry of the same repository. */
const folder = {
  settings: { name: "team/app-jobs", branch: "main" },
  trigger: triggered,
} as unknown as Deployment;

const known: Record<string, Deployment> = { "team/app": deployment, "team/away": away };
const configuration = { readAt: "2026-01-01T00:00:00.000Z" as string | null, error: null };
let app: Awaited<ReturnType<typeof makeServer>>;
// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document as plain data
let document: any;
beforeAll(async () => {
  app = await makeServer({
    fleet: {
      get: (name) => known[name],
      all: () => [deployment],
      of: (name) => (name === "team/app" ? [deployment, folder] : []),
    },
    configuration,
    metrics: makeMetrics(),
    webhookSecret: async () => credentials.secret,
    apiToken: async () => credentials.token,
  });
  document = (await app.inject("/openapi.json")).json();
});

const push = (body: string, headers: Record<string, string> = {}) =>
  app.inject({
    method: "POST",
    url: "/webhook",
    headers: { "content-type": "application/json", "x-hub-signature-256": sign(body), ...headers },
    body,
  });
const pushed = (name = "team/app", ref = "refs/heads/main") => JSON.stringify({ ref, repository: { full_name: name } });

describe("the webhook", () => {
  it("knows GitHub's own example of a signature", () => {
    const example = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    expect(isSigned(Buffer.from("Hello, World!"), example, secret)).toBe(true);
  });

  it("has each entry of the repository looked at", async () => {
    triggered.mockClear();
    const answer = await push(pushed());
    expect([answer.statusCode, answer.json()]).toEqual([202, { triggered: ["team/app", "team/app-jobs"] }]);
    expect(triggered.mock.calls).toEqual([["look"], ["look"]]);
  });

  it.each([
    ["of another secret", sign(pushed(), "another")],
    ["of another body", sign(pushed("team/other"))],
    ["of nothing", ""],
    ["by another algorithm", sign(pushed()).replace("sha256", "sha1")],
    ["that is cut short", sign(pushed()).slice(0, -1)],
  ])("refuses a signature %s", async (_, signature) => {
    triggered.mockClear();
    expect((await push(pushed(), { "x-hub-signature-256": signature })).statusCode).toBe(401);
    expect(triggered).not.toHaveBeenCalled();
  });

  it.each([
    ["a repository that it does not know", pushed("team/other"), 404],
    ["another branch", pushed("team/app", "refs/heads/other"), 202],
    ["what is no push", "{}", 400],
    ["what is no JSON", "words", 400],
  ])("does nothing for %s", async (_, body, code) => {
    triggered.mockClear();
    expect((await push(body)).statusCode).toBe(code);
    expect(triggered).not.toHaveBeenCalled();
  });

  it.each(["ping", "pull_request", "issues"])("accepts the event %s, and does nothing", async (event) => {
    triggered.mockClear();
    const answer = await push(`{"zen":"…"}`, { "x-github-event": event });
    expect([answer.statusCode, answer.json()]).toEqual([202, { triggered: [] }]);
    expect(triggered).not.toHaveBeenCalled();
  });

  it("takes the form that GitHub sends by default, signed as it is", async () => {
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const answer = await push(new URLSearchParams({ payload: pushed() }).toString(), form);
    expect([answer.statusCode, answer.json()]).toEqual([202, { triggered: ["team/app", "team/app-jobs"] }]);
    expect((await push("payload=words", form)).json()).toEqual({ error: "the form has no field payload with JSON" });
  });

  it("says which content type to choose", async () => {
    const answer = await push(pushed(), { "content-type": "text/plain" });
    expect([answer.statusCode, answer.json()]).toEqual([
      415,
      { error: "found Content-Type text/plain; expected application/json: choose it in the webhook's settings" },
    ]);
  });

  it.each(["", "short", "fifteen letters"])("takes no signature by the secret %j", async (weak) => {
    credentials.secret = weak;
    const answer = await push(pushed(), { "x-hub-signature-256": sign(pushed(), weak) });
    credentials.secret = secret;
    expect([answer.statusCode, answer.json().error]).toEqual([
      503,
      `key secret of deployd's Secret has ${weak.length} characters, expected at least 16: nothing is accepted with it`,
    ]);
  });
});

describe("a sync", () => {
  const sync = (headers: Record<string, string> = {}, body?: string) =>
    app.inject({ method: "POST", url: "/deployment/team/app/sync", headers, ...(body !== undefined && { body }) });
  const authorized = { authorization: `Bearer ${token}` };

  it.each([
    ["nothing", undefined],
    ["JSON", "{}"],
  ])("is begun for someone with the token, who sends %s", async (_, body) => {
    triggered.mockClear();
    const answer = await sync({ ...authorized, ...(body && { "content-type": "application/json" }) }, body);
    expect([answer.statusCode, answer.json()]).toEqual([202, { triggered: ["team/app"] }]);
    expect(triggered).toHaveBeenCalledExactlyOnceWith("sync");
  });

  it.each([
    ["without credentials", {}, 401],
    ["with another token", { authorization: "Bearer another" }, 401],
    ["with an empty token", { authorization: "Bearer " }, 401],
    ["with the token as a password", { authorization: `Basic ${token}` }, 401],
    ["as a page of another origin sends it", { "content-type": "text/plain" }, 401],
    ["with the token and another content type", { ...authorized, "content-type": "text/plain" }, 415],
    ["with the token and a form", { ...authorized, "content-type": "application/x-www-form-urlencoded" }, 415],
  ])("is refused %s", async (_, headers, code) => {
    triggered.mockClear();
    expect((await sync(headers as Record<string, string>, "{}")).statusCode).toBe(code);
    expect(triggered).not.toHaveBeenCalled();
  });

  it("is refused while the token is empty", async () => {
    credentials.token = "";
    const answers = [await sync(), await sync({ authorization: "Bearer " })];
    credentials.token = token;
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([503, 503]);
  });

  it("does not list repositories without the token", async () => {
    const { statusCode } = await app.inject({ method: "POST", url: "/deployment/team/none/sync" });
    expect(statusCode).toBe(401);
  });
});

it("shows a summary, and what Kubernetes has when that is asked for", async () => {
  expect((await app.inject("/deployment/team/app")).json()).toEqual({ ...brief, objects: [object] });
  expect((await app.inject("/deployment/team/app?raw=true")).json()).toHaveProperty("raw[0].data.x", [1]);
});

it.each([
  ["GET", "/deployment/team/none", 404, "team/none is not among the repositories that are deployed"],
  ["POST", "/deployment/team/none/sync", 404, "team/none is not among the repositories that are deployed"],
  ["GET", "/deployment/team/none/diff", 404, "team/none is not among the repositories that are deployed"],
  ["GET", "/deployment/team/away", 503, "cannot reach the cluster"],
  ["GET", "/deployment/team/away/diff", 409, "no commit of this repository could be read yet"],
  ["GET", "/nothing", 404, "there is nothing at /nothing"],
  ["DELETE", "/deployments", 405, "/deployments does not know DELETE"],
])("answers %s %s with %i", async (method, url, code, error) => {
  const answer = await app.inject({ method: method as "GET", url, headers: { authorization: `Bearer ${token}` } });
  expect([answer.statusCode, answer.json()]).toEqual([code, { error }]);
});

it("is not ready before there is a configuration", async () => {
  expect((await app.inject("/readyz")).statusCode).toBe(200);
  configuration.readAt = null;
  expect((await app.inject("/readyz")).statusCode).toBe(503);
  configuration.readAt = "2026-01-01T00:00:00.000Z";
});

it("tells Prometheus what it does", async () => {
  expect((await app.inject("/metrics")).body).toContain("# TYPE deployd_rounds_total counter");
});

// biome-ignore lint/suspicious/noExplicitAny: as above
type Operation = any;

it("answers as the document says, whatever it is asked", async () => {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Operation>).map(([method, operation]) => ({ path, method, operation })),
  );
  expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
    "get /deployment/{owner}/{repo}",
    "get /deployment/{owner}/{repo}/diff",
    "get /deployments",
    "get /healthz",
    "get /readyz",
    "post /deployment/{owner}/{repo}/sync",
    "post /webhook",
  ]);
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const word = fc.oneof(
    fc.constantFrom("team", "app", "away", "true", "false", "push", "ping"),
    fc.string({ minLength: 1 }),
  );
  const request = fc.record({
    operation: fc.constantFrom(...operations),
    words: fc.oneof(
      fc.constantFrom<string[]>(["team", "app"], ["team", "away"]),
      fc.array(word, { minLength: 2, maxLength: 2 }),
    ),
    query: fc.dictionary(fc.constantFrom("raw", "other"), word),
    body: fc.option(fc.oneof(fc.json(), fc.string(), fc.constant(pushed())), { nil: undefined }),
    type: fc.constantFrom("application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"),
    signed: fc.boolean(),
    authorized: fc.boolean(),
  });
  const codes = new Set<number>();
  await fc.assert(
    fc.asyncProperty(
      request,
      async ({ operation: { path, method, operation }, words, query, body, type, ...sender }) => {
        const parameters = [...words];
        const url = path.replace(/\{\w+\}/g, () => encodeURIComponent(parameters.shift()!));
        // A path that a client would make another one of.
        fc.pre(!words.some((one) => one === "." || one === ".."));
        const sends = method === "post" && body !== undefined;
        const answer = await app.inject({
          method: method as "GET",
          url: `${url}?${new URLSearchParams(query)}`,
          headers: {
            ...(sender.authorized && { authorization: `Bearer ${token}` }),
            ...(sends && { "content-type": type, ...(sender.signed && { "x-hub-signature-256": sign(body) }) }),
          },
          ...(sends && { body }),
        });
        codes.add(answer.statusCode);
        const described = operation.responses[answer.statusCode];
        expect(described, `${method} ${url} answered ${answer.statusCode} ${answer.body}`).toBeDefined();
        const validate = ajv.compile(described.content["application/json"].schema);
        expect(validate(answer.json()), JSON.stringify(validate.errors)).toBe(true);
      },
    ),
    { numRuns: 1500 },
  );
  // It has been everywhere.
  expect([...codes].sort()).toEqual([200, 202, 400, 401, 404, 409, 415, 503]);
});
