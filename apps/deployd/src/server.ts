import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import swagger from "@fastify/swagger";
import fastify, { type FastifyBaseLogger, type FastifyError, LogController } from "fastify";
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from "fastify-type-provider-zod";
import { z } from "zod";
import * as answers from "./answers.ts";
import type { Fleet } from "./fleet.ts";
import type { Metrics } from "./metrics.ts";
import type { Configuration } from "./watch.ts";

export interface Service {
  fleet: Pick<Fleet, "get" | "all" | "of">;
  configuration: Configuration;
  metrics: Metrics;
  /** The secret that signs webhooks. Read for each request, since it may be rotated. */
  webhookSecret: () => Promise<string>;
  /** The bearer token of requests that change something. Read for each request too. */
  apiToken: () => Promise<string>;
  log?: FastifyBaseLogger;
}

/** Enough for a push with very many commits; GitHub sends at most 25 MB. */
const largestPush = 5 * 1024 * 1024;

/** GitHub's default content type of a webhook. */
const form = "application/x-www-form-urlencoded";

/** The least number of characters of a secret: a shorter one can be guessed. */
export const shortest = 16;

/** A secret that is long enough. `key` is its key in the Secret. */
async function usable(key: string, read: () => Promise<string>): Promise<string> {
  const problem = (what: string) => refusal(503, `key ${key} of deployd's Secret ${what}: nothing is accepted with it`);
  const value = await read().catch(() => {
    throw problem("cannot be read");
  });
  if (value.length < shortest) throw problem(`has ${value.length} characters, expected at least ${shortest}`);
  return value;
}

/** The HTTP interface. */
export async function makeServer({ fleet, configuration, metrics, webhookSecret, apiToken, log }: Service) {
  const app = fastify({
    ...(log && { loggerInstance: log }),
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler<FastifyError & { expose?: boolean }>((error, request, reply) => {
    const code = error.statusCode ?? 500;
    if (code >= 500) app.log.error(error.expose ? error.message : error);
    // Fastify's message does not say what is valid.
    if (code === 415) return reply.code(415).send({ error: unknownType(request.url, request.headers["content-type"]) });
    void reply
      .code(code)
      .send({ error: code >= 500 && !error.expose ? "this failed; the log says why" : error.message });
  });
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "deployd",
        version: "1.0.0",
        description: "Keeps namespaces equal to what application repositories declare.",
      },
      components: {
        securitySchemes: {
          token: { type: "http", scheme: "bearer", description: "The key token of the Secret deployd-webhook" },
        },
      },
    },
    transform: jsonSchemaTransform,
  });

  /** The methods of each path, to answer 405 for another method and 404 for an unknown path. */
  const methods = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method }) => {
    const known = methods.get(url) ?? new Set<string>();
    for (const one of [method].flat()) known.add(one);
    methods.set(url, known);
  });
  // The method is checked first, before the headers and the body.
  app.addHook("onRequest", async ({ url, method, is404 }, reply) => {
    if (!is404) return;
    const [path = ""] = url.split("?");
    const allowed = [...methods].find(([pattern]) => matches(pattern, path))?.[1];
    if (!allowed) return reply.code(404).send({ error: `there is nothing at ${path}` });
    return reply
      .code(405)
      .header("allow", [...allowed].join(", "))
      .send({ error: `${path} does not know ${method}` });
  });

  await app.register(async (plain) => {
    const routes = plain.withTypeProvider<ZodTypeProvider>();
    const params = z.object({ owner: z.string(), repo: z.string() });
    const find = ({ owner, repo }: z.output<typeof params>) => {
      const deployment = fleet.get(`${owner}/${repo}`);
      if (!deployment) throw refusal(404, `${owner}/${repo} is not among the repositories that are deployed`);
      return deployment;
    };
    const wrong = {
      400: answers.error.describe("The request is not as described"),
      404: answers.error.describe("No such repository is deployed"),
      503: answers.error.describe("The cluster does not answer, or the Secret with the credentials is not usable"),
    };
    // Only JSON, also for an empty body: a page of another origin cannot send that without a preflight request.
    routes.removeAllContentTypeParsers();
    routes.addContentTypeParser("application/json", { parseAs: "string" }, (_, body, done) => done(null, body));
    /** A refusal by the cluster is not the caller's fault. */
    const fromCluster = <T>(work: Promise<T>): Promise<T> =>
      work.catch((error: Error) => {
        throw refusal(503, error.message);
      });

    routes.get(
      "/deployments",
      { schema: { summary: "All repositories", response: { 200: answers.deployments } } },
      async () => ({ configuration, deployments: fleet.all().map((one) => one.brief()) }),
    );
    routes.get(
      "/deployment/:owner/:repo",
      {
        schema: {
          summary: "One repository, with each of its objects",
          params,
          querystring: z.object({ raw: z.enum(["true", "false"]).default("false") }),
          response: { 200: answers.deployment, ...wrong },
        },
      },
      async ({ params, query }) => {
        const { raw, ...summary } = await fromCluster(find(params).summary());
        return query.raw === "true" ? { ...summary, raw } : summary;
      },
    );
    routes.post(
      "/deployment/:owner/:repo/sync",
      {
        schema: {
          summary: "Apply the newest commit now, whether it is deployed or not",
          params,
          security: [{ token: [] }],
          response: {
            202: answers.triggered,
            ...wrong,
            401: answers.error.describe("The bearer token is missing or wrong"),
            413: answers.error,
            415: answers.error.describe("A body that is not JSON"),
          },
        },
        onRequest: async ({ headers }, reply) => {
          const token = await usable("token", apiToken);
          if (isToken(headers.authorization, token)) return;
          return reply
            .code(401)
            .header("www-authenticate", "Bearer")
            .send({ error: "expected the header Authorization: Bearer with deployd's token" });
        },
      },
      async ({ params }, reply) => {
        const deployment = find(params);
        deployment.trigger("sync");
        return reply.code(202).send({ triggered: [deployment.settings.name] });
      },
    );
    routes.get(
      "/deployment/:owner/:repo/diff",
      {
        schema: {
          summary: "What applying the newest commit would change",
          params,
          response: { 200: answers.diff, ...wrong, 409: answers.error.describe("No commit could be read yet") },
        },
      },
      async ({ params }) => {
        const diff = await fromCluster(find(params).diff());
        if (!diff) throw refusal(409, "no commit of this repository could be read yet");
        return diff;
      },
    );

    routes.get(
      "/healthz",
      { schema: { summary: "Whether the service answers", response: { 200: answers.status } } },
      async () => ({ status: "ok" }),
    );
    routes.get(
      "/readyz",
      {
        schema: {
          summary: "Whether there is a configuration to work with",
          response: { 200: answers.status, 503: answers.error },
        },
      },
      async (_, reply) =>
        configuration.readAt
          ? { status: "ok" }
          : reply.code(503).send({ error: configuration.error ?? "the configuration has not been read yet" }),
    );
    routes.get("/metrics", { schema: { hide: true } }, async (_, reply) =>
      reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
    );
    routes.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
  });

  await app.register(async (hooks) => {
    // The signature is of the raw bytes.
    hooks.removeAllContentTypeParsers();
    for (const type of ["application/json", form])
      hooks.addContentTypeParser(type, { parseAs: "buffer" }, (_, body, done) => done(null, body));
    hooks.withTypeProvider<ZodTypeProvider>().post(
      "/webhook",
      {
        bodyLimit: largestPush,
        // Parsed below, after the signature was verified.
        validatorCompiler: () => (value) => ({ value }),
        schema: {
          summary: "A push, as GitHub sends it",
          description:
            "`X-Hub-Signature-256` is `sha256=` and the HMAC of the body with the webhook's secret, in hexadecimal. A form with the JSON in its field `payload` is taken as well. Other events than a push are accepted, and do nothing.",
          headers: z.object({
            "x-hub-signature-256": z.string().optional(),
            "x-github-event": z.string().optional(),
          }),
          body: answers.push,
          response: {
            202: answers.triggered,
            400: answers.error.describe("Not a push"),
            401: answers.error.describe("The signature is not that of the body"),
            404: answers.error.describe("No such repository is deployed"),
            413: answers.error,
            415: answers.error.describe("Neither JSON nor a form"),
            503: answers.error.describe("The Secret with the credentials is not usable"),
          },
        },
      },
      async ({ headers, body }, reply) => {
        const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
        const secret = await usable("secret", webhookSecret);
        if (!isSigned(bytes, headers["x-hub-signature-256"], secret))
          throw refusal(401, "X-Hub-Signature-256 is not the signature of this body");
        // A ping when the webhook is created, or another event that was chosen there. Some servers name no event.
        if ((headers["x-github-event"] ?? "push") !== "push") return reply.code(202).send({ triggered: [] });
        const push = readPush(bytes, headers["content-type"]);
        const pushed = fleet.of(push.repository.full_name);
        if (pushed.length === 0)
          throw refusal(404, `${push.repository.full_name} is not among the repositories that are deployed`);
        const concerned = pushed.filter(({ settings }) => push.ref === `refs/heads/${settings.branch}`);
        for (const deployment of concerned) deployment.trigger("look");
        return reply.code(202).send({ triggered: concerned.map(({ settings }) => settings.name) });
      },
    );
  });
  await app.ready();
  return app;
}

const unknownType = (url: string, found = "none"): string =>
  url.startsWith("/webhook")
    ? `found Content-Type ${found}; expected application/json: choose it in the webhook's settings`
    : `found Content-Type ${found}; expected application/json, or no body`;

const refusal = (statusCode: number, message: string) =>
  Object.assign(new Error(message), { statusCode, expose: true });

/** Whether `signature` is GitHub's for these bytes. Compares in constant time. */
export function isSigned(bytes: Buffer, signature: unknown, secret: string): boolean {
  const expected = Buffer.from(`sha256=${createHmac("sha256", secret).update(bytes).digest("hex")}`);
  const found = Buffer.from(typeof signature === "string" ? signature : "");
  return found.length === expected.length && timingSafeEqual(found, expected);
}

/** Whether an Authorization header has this token. Compares digests, which have the same length, in constant time. */
export function isToken(header: string | undefined, token: string): boolean {
  const found = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1] ?? "";
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(found), digest(token));
}

function readPush(bytes: Buffer, type = ""): z.output<typeof answers.push> {
  const text = bytes.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(type.startsWith(form) ? (new URLSearchParams(text).get("payload") ?? "") : text);
  } catch {
    throw refusal(400, type.startsWith(form) ? "the form has no field payload with JSON" : "the body is not JSON");
  }
  const push = answers.push.safeParse(value);
  if (!push.success) throw refusal(400, "the body is not a push: expected ref and repository.full_name");
  return push.data;
}

/** Whether a path matches a route such as `/deployment/:owner/:repo`. */
function matches(pattern: string, path: string): boolean {
  const [wanted, found] = [pattern.split("/"), path.split("/")];
  return (
    wanted.length === found.length &&
    wanted.every((one, i) => (one.startsWith(":") ? found[i] !== "" : one === found[i]))
  );
}
