import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Kube } from "../../kube/client.ts";
import { type KubeObject, titleOf } from "../../render/manifests.ts";

type Kinds = Record<string, [kind: string, plural: string, namespaced: boolean][]>;

const usualKinds: Kinds = {
  "/api/v1": [
    ["Namespace", "namespaces", false],
    ["Secret", "secrets", true],
    ["ConfigMap", "configmaps", true],
    ["ServiceAccount", "serviceaccounts", true],
    ["PersistentVolumeClaim", "persistentvolumeclaims", true],
    ["Service", "services", true],
    ["Pod", "pods", true],
    ["Event", "events", true],
  ],
  "/apis/apps/v1": [["StatefulSet", "statefulsets", true]],
  "/apis/batch/v1": [["Job", "jobs", true]],
  "/apis/node.k8s.io/v1": [["RuntimeClass", "runtimeclasses", false]],
  "/apis/scheduling.k8s.io/v1": [["PriorityClass", "priorityclasses", false]],
};

/** A fake of the API that the command line uses: it stores objects and reports them as ready. */
export class FakeApi {
  readonly objects = new Map<string, KubeObject>();
  /** The kinds of the cluster, by the path of their group and version. A test may add some. */
  readonly kinds: Kinds = { ...usualKinds };
  /** Every write, such as `APPLY Service dev/web`. */
  readonly writes: string[] = [];
  /** Answers for one object by its title; `undefined` is the normal answer. */
  answer: (method: string, title: string) => { code: number; message: string } | "hang up" | undefined = () =>
    undefined;
  /** Set by a test to change an object's status. */
  status: (object: KubeObject) => unknown = ({ kind, spec, metadata }) => {
    const replicas = (spec as { replicas?: number } | undefined)?.replicas ?? 1;
    if (kind === "Namespace") return { phase: "Active" };
    if (kind === "Job") return { conditions: [{ type: "Complete", status: "True" }] };
    const counts = { replicas, updatedReplicas: replicas, readyReplicas: replicas, availableReplicas: replicas };
    return { observedGeneration: metadata.generation, ...counts };
  };
  logs = "";
  private version = 1;
  private readonly server: Server;
  private readonly folder = mkdtempSync(join(tmpdir(), "fake-api-"));

  private constructor() {
    this.server = createServer(async (request, response) => {
      const answer = await this.handle(request);
      if (answer === "hang up") return void response.destroy();
      const [code, body] = answer;
      response.writeHead(code, { "content-type": typeof body === "string" ? "text/plain" : "application/json" });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    });
  }

  static async start(): Promise<FakeApi> {
    const api = new FakeApi();
    await new Promise<void>((resolve) => api.server.listen(0, "127.0.0.1", resolve));
    return api;
  }

  connect(): Kube {
    const server = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    const kubeconfig = join(this.folder, "kubeconfig");
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        "current-context": "fake",
        clusters: [{ name: "fake", cluster: { server, "insecure-skip-tls-verify": true } }],
        users: [{ name: "fake", user: {} }],
        contexts: [{ name: "fake", context: { cluster: "fake", user: "fake" } }],
      }),
    );
    return Kube.load({ kubeconfig });
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
    rmSync(this.folder, { recursive: true });
  }

  get(title: string): KubeObject | undefined {
    return [...this.objects.values()].find((object) => titleOf(object) === title);
  }

  private async handle(request: IncomingMessage): Promise<[number, unknown] | "hang up"> {
    const url = new URL(request.url!, "http://fake");
    const body = await text(request);
    const object = body ? (JSON.parse(body) as KubeObject) : undefined;
    if (this.kinds[url.pathname]) {
      const resources = this.kinds[url.pathname]!.map(([kind, name, namespaced]) => ({ kind, name, namespaced }));
      return [200, { resources }];
    }
    if (url.pathname.endsWith("/log")) return [200, this.logs];
    const [, base, namespace, plural, name] =
      /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([^/]+)(?:\/([^/]+))?$/.exec(url.pathname) ??
      [];
    const kind = this.kinds[base!]?.find(([, p]) => p === plural)?.[0];
    if (!kind) return [404, { message: `nothing at ${url.pathname}` }];
    const apiVersion = base!.replace(/^\/apis?\//, "");
    const identity = { apiVersion, kind, metadata: { name: name ?? object?.metadata.name ?? "", namespace } };
    const title = titleOf(identity);
    const told = this.answer(request.method!, title);
    if (told === "hang up") return told;
    if (told) return [told.code, { reason: "Refused", message: told.message }];
    const key = `${apiVersion} ${title}`;
    const live = this.objects.get(key);
    switch (request.method) {
      case "GET": {
        if (name) return live ? [200, { ...live, status: this.status(live) }] : [404, { message: "not found" }];
        const prefix = `${apiVersion} ${kind} ${namespace}/`;
        return [200, { items: [...this.objects].filter(([k]) => k.startsWith(prefix)).map(([, o]) => o) }];
      }
      case "POST":
        if (live) return [409, { message: "exists" }];
        return [201, this.store(key, object!)];
      case "PUT":
        if (live?.metadata.resourceVersion !== object!.metadata.resourceVersion) return [409, { message: "conflict" }];
        return [200, this.store(key, object!)];
      case "PATCH": {
        if (namespace && !this.get(`Namespace ${namespace}`))
          return [404, { message: `namespaces "${namespace}" not found` }];
        return [200, this.store(key, object!, "APPLY")];
      }
      default:
        if (!live) return [404, { message: "not found" }];
        this.writes.push(`DELETE ${title}`);
        this.objects.delete(key);
        // As the namespace controller does.
        if (kind === "Namespace")
          for (const [k, o] of this.objects) if (o.metadata.namespace === name) this.objects.delete(k);
        return [200, {}];
    }
  }

  private next(live: KubeObject | undefined, object: KubeObject): KubeObject {
    const { uid = `uid-${this.version}`, generation = 1 } = (live?.metadata ?? {}) as {
      uid?: string;
      generation?: number;
    };
    return { ...object, metadata: { ...object.metadata, uid, generation, resourceVersion: String(this.version) } };
  }

  private store(key: string, object: KubeObject, verb = "WRITE"): KubeObject {
    this.version++;
    const stored = this.next(this.objects.get(key), object);
    this.objects.set(key, stored);
    this.writes.push(`${verb} ${titleOf(object)}`);
    return stored;
  }
}
