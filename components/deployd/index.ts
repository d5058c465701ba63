import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { permissions } from "../kit/permissions.ts";
import { configFiles, httpProbe, lenientLiveness, scratch, secretFiles } from "../kit/pod.ts";
import { credentials, password, type TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";

const ports = { http: 8080 };
/** User and group `node` of the official image. */
const user = 1000;

/** Keeps namespaces equal to what application repositories declare. */
export class Deployd extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "http" }];
  readonly endpoint: Endpoint;
  /** What webhooks are signed with, and what someone has to send who wants something changed. */
  readonly admin: TypedSecret<"secret" | "token">;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["deployd"];
      /** Where it deploys: a namespace with nothing of the platform's in it. */
      target: NamespaceContext;
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, target } = args;
    super("Deployd", name, namespace, parseImage(config.image)?.tag ?? "", opts);

    this.admin = credentials(this, "webhook", config.auth, () => ({
      secret: password(this, "webhook", config.auth.rotation),
      token: password(this, "api", config.auth.rotation),
    }));

    // No checksum: it reads a change by itself, and what it has begun goes on.
    const configuration = files(this, "config", {
      "config.yaml": stringify({
        repositories: config.repositories.map((one) => ({ ...one, namespace: target.name })),
      }),
    });
    // Whoever may run pods in a namespace may use its Secrets and accounts: so none where the platform has any.
    const allowed = permissions(this, rules, [target]);

    const server = deployment(this, {
      // Two would apply the same twice.
      replicas: 1,
      pod: {
        user,
        role: "server",
        checksums: { webhook: this.admin.revision },
        talksToApi: "deployd applies what repositories declare",
        // It ends what it has begun to apply.
        gracePeriod: 60,
        containers: {
          deployd: {
            image: this.image(config.image),
            // Below tini, which reaps what git leaves behind.
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
            // Of a busy node it gets little more than the CPU that it requests, and starting takes seconds of that.
            startup: httpProbe("/healthz", "http", { every: 2, failures: 300 }),
            readiness: httpProbe("/readyz", "http"),
            liveness: httpProbe("/healthz", "http", lenientLiveness),
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          webhook: secretFiles({ secret: this.admin.key("secret"), token: this.admin.key("token") }),
          tokens: config.tokensSecret ? { secret: { secretName: config.tokensSecret } } : scratch({ size: "1Mi" }),
          work: scratch({ size: "1Gi" }),
          tmp: scratch({ size: "64Mi" }),
        },
      },
      dependsOn: allowed,
    });
    service(this, { role: "server", ports, type: config.service.type, workload: server });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.http };
    this.registerOutputs({});
  }
}

/** Mebibytes of Node's heap; the rest of the limit is for Helm and kustomize. */
const heap = 128;

const verbs = ["get", "create", "patch", "delete"];

/**
 * What repositories may declare. No Secrets, which do not belong into a repository, and no roles, which would be a way
 * to more rights; without one, an account of a repository has none. Server-side apply takes `patch`, and `create` for
 * what is not there yet.
 */
const rules = [
  { apiGroups: [""], resources: ["configmaps", "services", "persistentvolumeclaims", "serviceaccounts"], verbs },
  { apiGroups: ["apps"], resources: ["deployments", "statefulsets", "daemonsets"], verbs },
  { apiGroups: ["batch"], resources: ["jobs", "cronjobs"], verbs },
  { apiGroups: ["networking.k8s.io"], resources: ["ingresses", "networkpolicies"], verbs },
  { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs },
  { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs },
  // Why one does not start.
  { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
];
