import { createHmac, timingSafeEqual } from "node:crypto";
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
  fleet: Pick<Fleet, "get" | "all">;
  configuration: Configuration;
  metrics: Metrics;
  /** The webhook's secret, read anew each time: it may be changed while this runs. */
  webhookSecret: () => Promise<string>;
  log?: FastifyBaseLogger;
}

/** Of a push with very many commits; GitHub itself sends no more than 25 MB. */
const largestPush = 5 * 1024 * 1024;

/** The HTTP interface. */
export async function makeServer({ fleet, configuration, metrics, webhookSecret, log }: Service) {
  const app = fastify({
    ...(log && { loggerInstance: log }),
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler<FastifyError & { expose?: boolean }>((error, _, reply) => {
    const code = error.statusCode ?? 500;
    if (code >= 500) app.log.error(error);
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
    },
    transform: jsonSchemaTransform,
  });

  /** Which methods each path knows, so that another one can be told from an unknown path. */
  const methods = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method }) => {
    const known = methods.get(url) ?? new Set<string>();
    for (const one of [method].flat()) known.add(one);
    methods.set(url, known);
  });
  // Before anything else is looked at: a wrong method is wrong whatever comes with it.
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
      503: answers.error.describe("The cluster does not answer"),
    };
    /** What the cluster says no to is not the caller's fault. */
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
          response: {
            202: answers.triggered,
            ...wrong,
            415: answers.error.describe("A body of a kind that is not known"),
          },
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
    // The signature is of the bytes as they came.
    hooks.removeAllContentTypeParsers();
    hooks.addContentTypeParser("application/json", { parseAs: "buffer" }, (_, body, done) => done(null, body));
    hooks.withTypeProvider<ZodTypeProvider>().post(
      "/webhook",
      {
        bodyLimit: largestPush,
        // Read below, once it is known to be from someone who has the secret.
        validatorCompiler: () => (value) => ({ value }),
        schema: {
          summary: "A push, as GitHub tells of it",
          description:
            "`X-Hub-Signature-256` is `sha256=` and the HMAC of the body with the webhook's secret, in hexadecimal.",
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
            415: answers.error,
          },
        },
      },
      async ({ headers, body }, reply) => {
        const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
        if (!isSigned(bytes, headers["x-hub-signature-256"], await webhookSecret()))
          throw refusal(401, "X-Hub-Signature-256 is not the signature of this body");
        // What GitHub sends when the webhook is set up.
        if (headers["x-github-event"] === "ping") return reply.code(202).send({ triggered: [] });
        const push = readPush(bytes);
        const deployment = fleet.get(push.repository.full_name);
        if (!deployment)
          throw refusal(404, `${push.repository.full_name} is not among the repositories that are deployed`);
        const { name, branch } = deployment.settings;
        if (push.ref !== `refs/heads/${branch}`) return reply.code(202).send({ triggered: [] });
        deployment.trigger("look");
        return reply.code(202).send({ triggered: [name] });
      },
    );
  });
  await app.ready();
  return app;
}

const refusal = (statusCode: number, message: string) =>
  Object.assign(new Error(message), { statusCode, expose: true });

/** Whether `signature` is GitHub's for these bytes. Takes as long whether it is nearly right or not at all. */
export function isSigned(bytes: Buffer, signature: unknown, secret: string): boolean {
  const expected = Buffer.from(`sha256=${createHmac("sha256", secret).update(bytes).digest("hex")}`);
  const found = Buffer.from(typeof signature === "string" ? signature : "");
  return found.length === expected.length && timingSafeEqual(found, expected);
}

function readPush(bytes: Buffer): z.output<typeof answers.push> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw refusal(400, "the body is not JSON");
  }
  const push = answers.push.safeParse(value);
  if (!push.success) throw refusal(400, "the body is not a push: expected ref and repository.full_name");
  return push.data;
}

/** Whether a path is one of a route's, `/deployment/:owner/:repo`. */
function matches(pattern: string, path: string): boolean {
  const [wanted, found] = [pattern.split("/"), path.split("/")];
  return (
    wanted.length === found.length &&
    wanted.every((one, i) => (one.startsWith(":") ? found[i] !== "" : one === found[i]))
  );
}
