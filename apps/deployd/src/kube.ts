import { Agent, request as https, type RequestOptions } from "node:https";
import { text as readAll } from "node:stream/consumers";
import type { KubeConfig } from "@kubernetes/client-node";
import { dnsLabel, misnamed } from "./names.ts";

/** The identity of an object in its namespace. */
export interface Ref {
  apiVersion: string;
  kind: string;
  name: string;
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    uid?: string;
    resourceVersion?: string;
    generation?: number;
    deletionTimestamp?: string;
    managedFields?: ManagedFields[];
    creationTimestamp?: string;
  };
  // biome-ignore lint/suspicious/noExplicitAny: an object has as many shapes as there are kinds
  [field: string]: any;
}

/** The fields of an object that one manager has set. */
export interface ManagedFields {
  manager: string;
  operation: "Apply" | "Update";
  subresource?: string;
  fieldsV1?: Fields;
  [field: string]: unknown;
}
type Fields = { [path: string]: Fields };

/** A request that the API server refused. */
export class ApiError extends Error {
  readonly code: number;
  /** Whether the reason is a field that is immutable in the existing object. */
  readonly immutable: boolean;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
    this.immutable = code === 422 && unchangeable.test(message);
  }
}

const unchangeable = /immutable|updates to \w+ spec for fields other than|may not change once set|can ?not be unset/i;

/** No answer from the API server. */
export class Unreachable extends Error {}

/** An object of a kind that deployd cannot deploy. */
export class Unsupported extends Error {}

/** deployd's name in `managedFields`. */
export const fieldManager = "deployd";

/** What charts may know of the cluster (Helm's `.Capabilities`). */
export interface Capabilities {
  /** The release of Kubernetes, such as v1.36.2. */
  version: string;
  /** The APIs that it serves: `apps/v1` and `apps/v1/Deployment`. */
  apis: string[];
}

/** The calls that a deployment needs. */
export interface Cluster {
  capabilities(): Promise<Capabilities>;
  get(ref: Ref, namespace: string): Promise<KubeObject | undefined>;
  apply(object: KubeObject, namespace: string, dryRun?: boolean): Promise<KubeObject>;
  /** With `orphan`, the object's dependents stay, such as the pods of a StatefulSet. */
  delete(ref: Ref, namespace: string, uid: string, orphan?: boolean): Promise<void>;
  /** Takes over the fields that kubectl or Helm set, so that the next `apply` removes those that are not declared. */
  adopt(live: KubeObject, namespace: string): Promise<void>;
  pods(labels: Record<string, string>, namespace: string): Promise<KubeObject[]>;
}

/**
 * The cluster's API as plain JSON: the library's typed client drops every field that its release does not know. The library
 * reads the kubeconfig and logs in.
 */
export class Kube implements Cluster {
  private readonly config: KubeConfig;
  private readonly kinds = new Map<string, Map<string, { plural: string; namespaced: boolean }>>();
  private login?: { options: RequestOptions; until: number };

  constructor(config: KubeConfig) {
    this.config = config;
  }

  async get(ref: Ref, namespace: string): Promise<KubeObject | undefined> {
    try {
      return (await this.call("GET", await this.path(ref, namespace))) as KubeObject;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  }

  /** Server-side apply with force: the repository's values replace those of other managers. */
  async apply(object: KubeObject, namespace: string, dryRun = false): Promise<KubeObject> {
    const { apiVersion, kind, metadata } = object;
    const path = await this.path({ apiVersion, kind, name: metadata.name }, namespace);
    const query = new URLSearchParams({
      fieldManager,
      force: "true",
      // An unknown field is an error, instead of being ignored.
      fieldValidation: "Strict",
      ...(dryRun && { dryRun: "All" }),
    });
    return (await this.call("PATCH", `${path}?${query}`, object, "application/apply-patch+yaml")) as KubeObject;
  }

  /** Deletes the object with this uid; a new one of the same name stays. */
  async delete(ref: Ref, namespace: string, uid: string, orphan = false): Promise<void> {
    const body = { propagationPolicy: orphan ? "Orphan" : "Background", preconditions: { uid } };
    try {
      await this.call("DELETE", await this.path(ref, namespace), body);
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  }

  async adopt(live: KubeObject, namespace: string): Promise<void> {
    const managedFields = takenOver(live.metadata.managedFields ?? []);
    if (!managedFields) return;
    const { apiVersion, kind, metadata } = live;
    const patch = [
      { op: "replace", path: "/metadata/managedFields", value: managedFields },
      // Causes a conflict if the object has changed since it was read.
      { op: "replace", path: "/metadata/resourceVersion", value: metadata.resourceVersion },
    ];
    const path = await this.path({ apiVersion, kind, name: metadata.name }, namespace);
    await this.call("PATCH", path, patch, "application/json-patch+json");
  }

  async pods(labels: Record<string, string>, namespace: string): Promise<KubeObject[]> {
    const selector = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    const query = new URLSearchParams({ labelSelector: selector.join(",") });
    const { items } = (await this.call("GET", `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods?${query}`)) as {
      items: KubeObject[];
    };
    return items;
  }

  async capabilities(): Promise<Capabilities> {
    const { gitVersion } = (await this.call("GET", "/version")) as { gitVersion: string };
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const found = await Promise.all(
      ["/api", "/apis"].map((path) => this.call("GET", path, undefined, undefined, accept) as Promise<Discovery>),
    );
    return { version: gitVersion, apis: served(found) };
  }

  private async path({ apiVersion, kind, name }: Ref, namespace: string): Promise<string> {
    const problem = misnamed({ apiVersion, kind, name });
    if (problem) throw new ApiError(422, problem);
    if (!dnsLabel.test(namespace)) throw new ApiError(422, `${JSON.stringify(namespace)} is no namespace's name`);
    const { plural, namespaced } = await this.kind(apiVersion, kind);
    if (!namespaced) throw new Unsupported("belongs to the whole cluster, where deployd has no rights");
    return `${base(apiVersion)}/namespaces/${[namespace, plural, name].map(encodeURIComponent).join("/")}`;
  }

  private async kind(apiVersion: string, kind: string) {
    const known = this.kinds.get(apiVersion)?.get(kind);
    if (known) return known;
    const unknown = new Unsupported(`the cluster has no ${kind} in ${apiVersion}`);
    const found = (await this.call("GET", base(apiVersion)).catch((error) => {
      throw error instanceof ApiError && error.code === 404 ? unknown : error;
    })) as { resources: { name: string; kind: string; namespaced: boolean }[] };
    const whole = found.resources.filter(({ name }) => !name.includes("/"));
    const kinds = new Map(whole.map((one) => [one.kind, { plural: one.name, namespaced: one.namespaced }]));
    this.kinds.set(apiVersion, kinds);
    const one = kinds.get(kind);
    if (!one) throw unknown;
    return one;
  }

  private async call(
    method: string,
    path: string,
    body?: unknown,
    type = "application/json",
    accept = "application/json",
  ): Promise<unknown> {
    const cluster = this.config.getCurrentCluster();
    if (!cluster) throw new Unreachable("the kubeconfig has no cluster for its current context");
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const login = await this.options();
    const options: RequestOptions = {
      ...login,
      method,
      timeout: 20_000,
      headers: {
        ...login.headers,
        accept,
        ...(payload && { "content-type": type, "content-length": Buffer.byteLength(payload) }),
      },
    };
    const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
      const request = https(new URL(cluster.server.replace(/\/$/, "") + path), options, resolve);
      request.on("error", ({ message }) => reject(new Unreachable(`cannot reach the cluster: ${message}`)));
      request.on("timeout", () => request.destroy(new Error("no answer")));
      request.end(payload);
    });
    const answer = await readAll(response);
    const { statusCode = 0 } = response;
    if (statusCode < 400) return JSON.parse(answer);
    const message = messageOf(answer);
    const denied = statusCode === 403 && noRight.exec(message);
    if (denied) throw new Unsupported(`deployd has no right to ${denied[1]} ${denied[2]} in this namespace`);
    throw new ApiError(statusCode, message);
  }

  /** Options for the login. Read again every minute, since the token of the pod's ServiceAccount is rotated. */
  private async options(): Promise<RequestOptions> {
    if (!this.login || this.login.until < Date.now()) {
      const options: RequestOptions = {};
      await this.config.applyToHTTPSOptions(options as Parameters<KubeConfig["applyToHTTPSOptions"]>[0]);
      if (options.agent instanceof Agent) Object.assign(options.agent, { keepAlive: true, maxSockets: 16 });
      this.login = { options, until: Date.now() + 60_000 };
    }
    return this.login.options;
  }
}

/** The response of aggregated discovery (Kubernetes 1.30), of the core group or of all others. */
export interface Discovery {
  items: {
    metadata?: { name?: string };
    versions: { version: string; resources: { responseKind: { kind: string } }[] }[];
  }[];
}

/** The served APIs in Helm's form: each version of a group, and each kind in it. */
export function served(found: Discovery[]): string[] {
  const apis = found
    .flatMap(({ items }) => items)
    .flatMap(({ metadata, versions }) =>
      versions.flatMap(({ version, resources }) => {
        const api = metadata?.name ? `${metadata.name}/${version}` : version;
        return [api, ...resources.map(({ responseKind }) => `${api}/${responseKind.kind}`)];
      }),
    );
  return [...new Set(apis)];
}

/** The API server's message if no Role allows a request. A quota or Pod Security has another one. */
const noRight = /is forbidden: User "[^"]*" cannot (\w+) resource "([^"]*)"/;

interface Status {
  message?: string;
  details?: { causes?: { field?: string; message?: string }[] };
}

/** Characters after which a message is cut. */
const longest = 400;

/** The API server's message, without the values that it repeats: a pod template has thousands of characters. */
export function messageOf(answer: string): string {
  let status: Status;
  try {
    status = JSON.parse(answer);
  } catch {
    return (answer.split("\n")[0] ?? "").slice(0, longest);
  }
  const causes = (status.details?.causes ?? []).map(({ field, message = "" }) => {
    const reason =
      /^(Invalid|Duplicate) value: .*: ([^:]+)$/s.exec(message)?.[2] ?? message.replace(/^Forbidden: /, "");
    return `${field ? `${field}: ` : ""}${reason.split("\n")[0]}`;
  });
  // The caller adds the object's name.
  const said = String(status.message ?? "no reason given").replace(/^\S+ "[^"]*" is invalid: /, "");
  const long = said.length > 200 || said.includes("\n");
  const short = long && causes.length > 0 ? [...new Set(causes)].join("; ") : said.replaceAll(/\s*\n\s*/g, " ");
  return short.length > longest ? `${short.slice(0, longest)}…` : short;
}

/** Managers that people use: kubectl with any of its commands, and Helm. */
const people = /^(kubectl(-.*)?|helm|before-first-apply)$/;

/**
 * The managed fields with those of `people` moved to deployd, as kubectl migrates from client-side to server-side apply.
 * Undefined if they have none.
 */
export function takenOver(all: ManagedFields[]): ManagedFields[] | undefined {
  const theirs = all.filter(({ manager, subresource }) => people.test(manager) && !subresource);
  const [first] = theirs;
  if (!first) return undefined;
  const isOurs = (one: ManagedFields) => one.manager === fieldManager && one.operation === "Apply" && !one.subresource;
  const ours = all.find(isOurs);
  const fieldsV1 = [...theirs, ...(ours ? [ours] : [])].reduce<Fields>(
    (sum, one) => union(sum, one.fieldsV1 ?? {}),
    {},
  );
  const rest = all.filter((one) => !theirs.includes(one) && one !== ours);
  return [...rest, { ...(ours ?? first), manager: fieldManager, operation: "Apply", fieldsV1 }];
}

function union(one: Fields, other: Fields): Fields {
  const sum = { ...one };
  for (const [path, fields] of Object.entries(other)) sum[path] = union(sum[path] ?? {}, fields);
  return sum;
}

const base = (apiVersion: string) => {
  const path = apiVersion.split("/").map(encodeURIComponent).join("/");
  return apiVersion.includes("/") ? `/apis/${path}` : `/api/${path}`;
};
