import type * as pulumi from "@pulumi/pulumi";
import { derived, either, missing, when, whenever } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { expose } from "../kit/ingress.ts";
import { permissions } from "../kit/permissions.ts";
import { configFiles, httpProbe, lenientLiveness, scratch, secretFiles } from "../kit/pod.ts";
import { credentials, password, type TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";

const ports = { http: 8080 };
/** User and group `node` of the official image. */
const user = 1000;

/** What deployd needs from the platform. */
export interface DeploydArgs extends ComponentArgs<Config["deployd"]> {
  /** The namespace that it deploys to. It holds nothing of the platform's. */
  target: NamespaceContext;
}

/** deployd: keeps a namespace equal to what application repositories declare. */
export class Deployd extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "http" }];
  readonly endpoint: Endpoint;
  /** `secret`: the key of the webhooks' signatures. `token`: the bearer token of API calls that change something. */
  readonly admin: TypedSecret<"secret" | "token">;

  constructor(name: string, args: DeploydArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, target } = args;
    super("Deployd", name, namespace, config, opts);

    this.admin = credentials(this, "webhook", config.auth, () => ({
      secret: password(this, "webhook", config.auth.rotation),
      token: password(this, "api", config.auth.rotation),
    }));
    const configuration = files(this, "config", settings(config, target));
    // An account that may run pods in a namespace can use all Secrets of it: so only in a namespace that has none of the platform's.
    const allowed = permissions(this, rules, [target]);
    const server = this.server(config, configuration.name, allowed);

    const front = service(this, { role: "server", ports, ...exposed(this, config.service), workload: server });
    // Webhooks are signed, and their sender cannot log in.
    expose(this, { role: "server", withoutLogin: "deployd", authenticated: "^/webhook$" }, front);
    this.endpoint = endpoint(this, ports.http);
    this.registerOutputs({});
  }

  private server(config: Config["deployd"], configuration: pulumi.Input<string>, dependsOn: pulumi.Resource[]) {
    return deployment(this, {
      // Two would apply the same objects twice.
      replicas: 1,
      pod: {
        user,
        role: "server",
        // No checksum of the configuration: deployd reloads it, and a deployment that is under way continues.
        checksums: { webhook: this.admin.revision },
        outside: config.repositories.map(({ name, url }) =>
          whenever(url, () => ({ what: `git repository ${name}`, url })),
        ),
        talksToApi: "deployd applies what repositories declare",
        // It finishes the deployment that is under way.
        gracePeriod: 60,
        containers: {
          deployd: {
            image: this.image(config.image),
            // tini reaps the child processes that git leaves behind.
            command: ["tini", "--", "node", "/app/src/main.ts"],
            env: { NODE_ENV: "production", NODE_OPTIONS: `--max-old-space-size=${heap}` },
            ports,
            resources: config.resources,
            mounts: {
              "/etc/deployd/config": "config",
              "/etc/deployd/webhook": "webhook",
              "/etc/deployd/tokens": "tokens",
              "/work": "work",
              "/tmp": "tmp",
            },
            // A start takes seconds of CPU, and on a busy node the pod gets little more than it requests.
            startup: httpProbe("/healthz", "http", { every: 2, failures: 300 }),
            readiness: httpProbe("/readyz", "http"),
            liveness: httpProbe("/healthz", "http", lenientLiveness),
          },
        },
        volumes: {
          config: configFiles(configuration),
          webhook: secretFiles({ secret: this.admin.key("secret"), token: this.admin.key("token") }),
          tokens: {
            ...when(config.tokensSecret, (secretName) => ({ secret: { secretName } })),
            ...when(missing(config.tokensSecret), () => scratch({ size: "1Mi" })),
          },
          work: scratch({ size: "1Gi" }),
          tmp: scratch({ size: "64Mi" }),
        },
      },
      dependsOn,
    });
  }
}

const settings = ({ repositories }: Config["deployd"], target: NamespaceContext) => ({
  "config.yaml": `repositories:${either(
    repositories,
    (all) => `\n${repositoryLines(all, target.name)}`,
    () => " []\n",
  )}`,
});

/** An item of the list in YAML for each repository: a line of JSON, with its keys sorted. */
const repositoryLines = derived(
  "repositoryLines",
  (repositories: Config["deployd"]["repositories"], namespace: string): string =>
    repositories
      .map((repository) => {
        const sorted = Object.entries({ ...repository, namespace }).sort(([a], [b]) => (a < b ? -1 : 1));
        return `  - ${JSON.stringify(Object.fromEntries(sorted))}\n`;
      })
      .join(""),
);

/** Mebibytes of Node's heap; the rest of the limit is for Helm and kustomize. */
const heap = 128;

const verbs = ["get", "create", "patch", "delete"];

/**
 * The kinds that repositories may declare. No Secrets, which do not belong in a repository, and no Roles, which would
 * let a repository escalate its rights. Server-side apply needs `patch`, and `create` for a new object.
 */
const rules = [
  { apiGroups: [""], resources: ["configmaps", "services", "persistentvolumeclaims", "serviceaccounts"], verbs },
  { apiGroups: ["apps"], resources: ["deployments", "statefulsets", "daemonsets"], verbs },
  { apiGroups: ["batch"], resources: ["jobs", "cronjobs"], verbs },
  { apiGroups: ["networking.k8s.io"], resources: ["ingresses", "networkpolicies"], verbs },
  { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs },
  { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs },
  // To report why a pod does not start.
  { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
];
