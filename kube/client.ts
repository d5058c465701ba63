import { request as http } from "node:http";
import { request as https, type RequestOptions } from "node:https";
import { text as readAll } from "node:stream/consumers";
// The whole client takes longer to load than most commands take.
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { UserError } from "../local/step.ts";
import type { KubeObject } from "../render/manifests.ts";

/** An object as the cluster has it. */
export type Live = KubeObject & {
  metadata: KubeObject["metadata"] & {
    uid: string;
    resourceVersion: string;
    generation?: number;
    deletionTimestamp?: string;
    ownerReferences?: { kind: string }[];
    managedFields?: { manager: string; operation: string }[];
  };
  // biome-ignore lint/suspicious/noExplicitAny: what a cluster answers has as many shapes as there are kinds
  spec?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  status?: any;
};

/** A request that the API server refused. */
export class ApiError extends Error {
  override name = "ApiError";
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

type Named = { apiVersion: string; kind: string; metadata: { name: string; namespace?: string } };

/** The field manager of the fields that this project sets. */
export const fieldManager = "data-platform";

/**
 * The few API calls that the command line and the tests need, in plain JSON: the library's typed client drops every
 * field that its release does not know. The library reads the kubeconfig, with all ways of authentication.
 */
export class Kube {
  readonly context: string;
  readonly server: string;
  private readonly config: KubeConfig;
  private readonly kinds = new Map<string, Promise<Map<string, { plural: string; namespaced: boolean }>>>();
  private login?: { options: RequestOptions; until: number };

  private constructor(config: KubeConfig, server: string) {
    this.config = config;
    this.context = config.getCurrentContext();
    this.server = server;
  }

  /** From a kubeconfig (default: kubectl's) and a context in it (default: the current one). */
  static load(options: { kubeconfig?: string; context?: string }): Kube {
    const config = new KubeConfig();
    const from = options.kubeconfig ?? process.env.KUBECONFIG ?? "~/.kube/config";
    try {
      if (options.kubeconfig) config.loadFromFile(options.kubeconfig);
      else config.loadFromDefault();
    } catch (error) {
      throw new UserError(`${from}: not a kubeconfig: ${(error as Error).message.split("\n")[0]}`);
    }
    const names = config.getContexts().map(({ name }) => name);
    const context = options.context ?? config.getCurrentContext();
    if (!names.includes(context))
      throw new UserError(`context ${context}: not in ${from}; contexts there: ${names.join(", ") || "none"}`);
    config.setCurrentContext(context);
    const cluster = config.getCurrentCluster();
    if (!cluster) throw new UserError(`context ${context}: ${from} has no cluster for it`);
    return new Kube(config, cluster.server);
  }

  async get(of: Named): Promise<Live | undefined> {
    try {
      return (await this.call("GET", await this.path(of))) as Live;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  }

  /** Whether the cluster has the kind: of Kubernetes itself, or of a CustomResourceDefinition. */
  async has(apiVersion: string, kind: string): Promise<boolean> {
    try {
      await this.kind(apiVersion, kind);
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return false;
      throw error;
    }
  }

  async list(apiVersion: string, kind: string, namespace: string, query: Record<string, string> = {}): Promise<Live[]> {
    const { plural } = await this.kind(apiVersion, kind);
    const path = `${base(apiVersion)}/namespaces/${namespace}/${plural}${search(query)}`;
    const { items } = (await this.call("GET", path)) as { items: Live[] };
    // A list has apiVersion and kind once, not in its items.
    return items.map((item) => ({ ...item, apiVersion, kind }));
  }

  /**
   * Server-side apply. With force: the configuration decides these fields, and overwrites a value that was set by hand,
   * as Pulumi would. Other fields keep their managers.
   */
  async apply(object: KubeObject): Promise<Live> {
    const query = search({ fieldManager, force: "true" });
    return (await this.call(
      "PATCH",
      (await this.path(object)) + query,
      object,
      "application/apply-patch+yaml",
    )) as Live;
  }

  async create(object: KubeObject): Promise<Live> {
    const { plural } = await this.kind(object.apiVersion, object.kind);
    return (await this.call("POST", `${folder(object)}/${plural}${search({ fieldManager })}`, object)) as Live;
  }

  /** Replaces an object as a whole; refused by the server if it has changed since its `resourceVersion`. */
  async replace(object: Live): Promise<Live> {
    return (await this.call("PUT", (await this.path(object)) + search({ fieldManager }), object)) as Live;
  }

  /**
   * Deletes an object after the objects that it owns (foreground). `uid` prevents deleting another object of that name.
   */
  async delete(of: Named, uid?: string): Promise<void> {
    const body = { propagationPolicy: "Foreground", ...(uid && { preconditions: { uid } }) };
    try {
      await this.call("DELETE", await this.path(of), body);
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }

  /** The last lines that a container wrote; empty when it has none. */
  async log(pod: Named, options: { container: string; previous?: boolean; lines: number }): Promise<string> {
    const query = {
      container: options.container,
      tailLines: String(options.lines),
      previous: String(options.previous ?? false),
    };
    try {
      const text = String(await this.call("GET", `${await this.path(pod)}/log${search(query)}`));
      // The node's answer if it has removed the log.
      return text.startsWith("unable to retrieve container logs") ? "" : text;
    } catch {
      return "";
    }
  }

  /** The response of a Service, through the API server's proxy, which works from any machine. */
  async ask(of: { namespace: string; service: string; port: number }, path: string, body?: unknown): Promise<unknown> {
    const service = `/api/v1/namespaces/${of.namespace}/services/${of.service}:${of.port}/proxy`;
    return this.call(body === undefined ? "GET" : "POST", service + path, body);
  }

  private async path(of: Named): Promise<string> {
    const { plural, namespaced } = await this.kind(of.apiVersion, of.kind);
    if (namespaced !== Boolean(of.metadata.namespace))
      throw new Error(`${of.kind} ${of.metadata.name} ${namespaced ? "needs a" : "has no"} namespace`);
    return `${folder(of)}/${plural}/${of.metadata.name}`;
  }

  private async kind(apiVersion: string, kind: string): Promise<{ plural: string; namespaced: boolean }> {
    const kinds = this.kinds.get(apiVersion) ?? this.discover(apiVersion);
    this.kinds.set(apiVersion, kinds);
    const found = (await kinds.catch(() => undefined))?.get(kind);
    if (found) return found;
    // Its CustomResourceDefinition may be applied later: look again next time.
    this.kinds.delete(apiVersion);
    // An error of the discovery is thrown here; a cluster lacks a kind only if it answered.
    await kinds;
    throw new ApiError(404, "NotFound", `the cluster has no ${kind} in ${apiVersion}`);
  }

  private async discover(apiVersion: string) {
    const found = (await this.call("GET", base(apiVersion))) as {
      resources: { name: string; kind: string; namespaced: boolean }[];
    };
    const whole = found.resources.filter(({ name }) => !name.includes("/"));
    return new Map(whole.map(({ name, kind, namespaced }) => [kind, { plural: name, namespaced }]));
  }

  /** One call, retried for up to 8 s while the server is starting or busy: every call here can be repeated. */
  private async call(method: string, path: string, body?: unknown, type = "application/json"): Promise<unknown> {
    for (let wait = 250; ; wait *= 2) {
      try {
        return await this.once(method, path, body, type);
      } catch (error) {
        const busy = error instanceof ApiError && (error.code === 429 || error.code === 503 || error.code === 504);
        const again = busy || transient.has((error as NodeJS.ErrnoException).code ?? "");
        if (again && wait < 8000) await new Promise((resume) => setTimeout(resume, wait));
        else throw this.explain(error);
      }
    }
  }

  private async once(method: string, path: string, body: unknown, type: string): Promise<unknown> {
    const url = new URL(this.server.replace(/\/$/, "") + path);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const login = await this.options();
    const options: RequestOptions = {
      ...login,
      method,
      timeout: 30_000,
      headers: {
        ...login.headers,
        accept: "application/json",
        ...(payload && { "content-type": type, "content-length": Buffer.byteLength(payload) }),
      },
    };
    const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
      const request = (url.protocol === "http:" ? http : https)(url, options, resolve);
      request.on("error", reject);
      request.on("timeout", () => request.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
      request.end(payload);
    });
    const text = await readAll(response);
    // Every response has a status: the type is also that of requests to a server.
    const { statusCode = 500, headers } = response;
    const answer: unknown = headers["content-type"]?.includes("json") ? JSON.parse(text) : text;
    if (statusCode < 400) return answer;
    const { reason = "", message = text } = (typeof answer === "object" && answer ? answer : {}) as Record<
      string,
      string
    >;
    // After its first line a refusal may quote the object, secrets included.
    const [line = ""] = message.split("\n");
    throw new ApiError(statusCode, reason, line);
  }

  /** Authentication. A token from an exec plugin expires, so it is requested again every minute. */
  private async options(): Promise<RequestOptions> {
    if (!this.login || this.login.until < Date.now()) {
      const options: RequestOptions = {};
      await this.config.applyToHTTPSOptions(options as Parameters<KubeConfig["applyToHTTPSOptions"]>[0]);
      // Connections are kept alive, and limited so that a small API server is not overloaded.
      Object.assign(options.agent as object, { keepAlive: true, maxSockets: 16 });
      this.login = { options, until: Date.now() + 60_000 };
    }
    return this.login.options;
  }

  /** The failure as a message for the user. */
  private explain(error: unknown): unknown {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof ApiError && error.code === 401)
      return new UserError(`context ${this.context}: authentication failed (401): ${message}`);
    if (error instanceof ApiError || typeof code !== "string") return error;
    return new UserError(`context ${this.context}: cannot reach the cluster at ${this.server}: ${message || code}`);
  }
}

const transient = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EAI_AGAIN"]);
const base = (apiVersion: string) => (apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`);
const folder = ({ apiVersion, metadata }: Named) =>
  base(apiVersion) + (metadata.namespace ? `/namespaces/${metadata.namespace}` : "");
const search = (query: Record<string, string>) => {
  const text = new URLSearchParams(query).toString();
  return text && `?${text}`;
};
