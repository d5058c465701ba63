import { fileURLToPath } from "node:url";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { bytes, mebibytes, millicores } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import type { Endpoint, SqlConnection } from "../kit/connection.ts";
import { withDisk } from "../kit/disk.ts";
import type { Workload } from "../kit/network.ts";
import { placementOf, spreadOverZones } from "../kit/placement.ts";
import { type SecretKey, TypedSecret } from "../kit/secret.ts";
import { endpoint } from "../kit/service.ts";
import { refuseToShrink } from "../kit/storage.ts";
import { whileUpdating } from "../kit/usage.ts";
import { logSizes } from "../postgresql/index.ts";

/** Resolved against this file, so that the program may be run from any directory. */
const chart = fileURLToPath(new URL("../../charts/cloudnative-pg", import.meta.url));
const port = 5432;
/** The role of the database pods. */
const role = "postgresql";

/** What the operator needs from the platform. */
export interface CloudnativePgArgs extends ComponentArgs<Config["cloudnativePg"]> {}

/** CloudNativePG's operator, one for the whole Kubernetes cluster. */
export class CloudnativePg extends Component {
  /** What a database waits for: its kind, and the operator, whose webhook admits each Cluster. */
  readonly ready: pulumi.Resource[];
  private readonly operator: Workload;

  constructor(name: string, { namespace, config }: CloudnativePgArgs, opts?: pulumi.ComponentResourceOptions) {
    super("CloudnativePg", name, namespace, config, opts);
    this.operator = namespace.network.add({
      name: `${name}/operator`,
      // The chart's labels.
      pods: { namespace: namespace.name, labels: { "app.kubernetes.io/name": "cloudnative-pg" } },
      ports: { webhook: 9443 },
      connects: [],
      outside: [],
      api: {},
    });
    namespace.network.open({
      server: { pods: this.operator.pods, ports: ["webhook"] },
      exposedBy: "API server (webhook)",
    });
    namespace.usage?.pods(namespace.name, whileUpdating(1, "surge"), { containers: [config.resources] });
    this.ready = [
      new k8s.helm.v4.Chart(
        name,
        { chart, namespace: namespace.name, values: { "cloudnative-pg": this.values(config) } },
        { parent: this, dependsOn: namespace.ready, transforms: [keepKinds(namespace.global.protectData)] },
      ),
    ];
    this.registerOutputs({});
  }

  /** Lets the operator ask the servers of `cluster` for their state. */
  watches(cluster: DatabaseCluster): void {
    this.operator.connects.push(cluster.serves(role, ["status"]).server);
  }

  /** Values of the chart. */
  private values({ image, resources }: Config["cloudnativePg"]) {
    const { imagePullPolicy, imagePullSecrets } = this.namespace.global;
    // The operator is one pod, so there is nothing to spread over zones.
    const { labels, annotations, zones: _, ...placed } = placementOf(this);
    const { repository, tag } = pulumi.output(this.image(image)).apply(splitImage);
    return {
      image: { repository, tag, pullPolicy: imagePullPolicy },
      imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })),
      resources: withDisk(resources),
      ...placed,
      ...(Object.keys(labels).length > 0 && { podLabels: labels }),
      ...(Object.keys(annotations).length > 0 && { podAnnotations: annotations }),
    };
  }
}

/** Splits at the first colon after the last slash, the tag's or digest's: the chart joins the two with a colon again. */
function splitImage(reference: string): { repository: string; tag: string } {
  const colon = reference.indexOf(":", reference.lastIndexOf("/"));
  return { repository: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}

/**
 * Protects the CustomResourceDefinitions as the stack's volumes are: when a kind is deleted, so is every object of it in
 * every namespace, here every database. The chart asks for this by an annotation that only Helm reads.
 */
export const keepKinds =
  (keep: boolean): pulumi.ResourceTransform =>
  ({ type, props, opts }) =>
    type.endsWith(":CustomResourceDefinition")
      ? { props, opts: { ...opts, protect: keep, retainOnDelete: keep } }
      : undefined;

/** What a database cluster needs from the platform. Its `config` is an application's block `databaseCluster`. */
export interface DatabaseClusterArgs extends ComponentArgs<Config["polls"]["databaseCluster"]> {
  /** Path of that block in the stack's configuration: `polls.databaseCluster`. */
  configKey: string;
  /** Name of the database and of its owner. */
  database: string;
  /** What must exist before the Cluster. Empty if the Kubernetes cluster had an operator before this stack. */
  operator: pulumi.Resource[];
}

/** PostgreSQL for one application: servers that CloudNativePG creates, monitors and replaces. */
export class DatabaseCluster extends Component {
  override readonly configKey: string;
  override readonly metrics: Metrics[] = [{ role, port: "metrics" }];
  readonly endpoint: Endpoint;
  /** Connects as the owner of the database, from the Cluster's own namespace. */
  readonly connection: SqlConnection<string | SecretKey>;

  constructor(name: string, args: DatabaseClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config } = args;
    super("DatabaseCluster", name, namespace, config, opts);
    this.configKey = args.configKey;

    namespace.network.add({
      name: `${name}/${role}`,
      // The operator gives its pods these labels: inheritedMetadata.
      pods: this.serves(role, "any").server.pods,
      ports: { postgresql: port, status: 8000, metrics: 9187 },
      // Replicas read from the primary.
      connects: [this.serves(role, ["postgresql", "status"]).server],
      outside: [],
      api: {},
    });
    namespace.network.open(this.serves(role, ["postgresql"]));
    const { usage } = namespace;
    // One more, for a Job of the operator's that makes a server's volume.
    usage?.pods(namespace.name, config.instances + 1, { containers: [config.resources] });
    usage?.volumes(namespace.name, config.instances, config.storage.size);
    const cluster = this.cluster(args);
    this.connection = this.ownerConnection(cluster);
    // The Service `-rw` leads to the primary.
    this.endpoint = endpoint(this, port, "rw");
    this.registerOutputs({});
  }

  private cluster({ config, database, operator }: DatabaseClusterArgs): k8s.apiextensions.CustomResource {
    return new k8s.apiextensions.CustomResource(
      this.name,
      {
        apiVersion: "postgresql.cnpg.io/v1",
        kind: "Cluster",
        metadata: {
          ...this.metadata(undefined, role),
          annotations: {
            // Names the configuration key of its size to anyone who inspects the object.
            "data-platform/config-key": `${this.configKey}.storage.size`,
            "pulumi.com/waitFor": "condition=Ready",
          },
        },
        spec: this.spec(config, database),
      },
      this.dataChild({
        dependsOn: operator,
        hooks: { beforeUpdate: [refuseToShrink(this, this.name, ({ spec }) => spec?.storage?.size)] },
      }),
    );
  }

  private spec(config: DatabaseClusterArgs["config"], database: string) {
    const placed = placementOf(this, role);
    const { instances, resources } = config;
    const { imagePullPolicy, imagePullSecrets, storageClass: usual } = this.namespace.global;
    const storageClass = config.storage.storageClass ?? usual;
    return {
      instances,
      imageName: this.image(config.image),
      imagePullPolicy,
      ...(imagePullSecrets.length > 0 && {
        imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })),
      }),
      // Labels of its pods and volumes too, which selectors need.
      inheritedMetadata: {
        labels: { ...this.selector(role), "app.kubernetes.io/part-of": "data-platform", ...placed.labels },
        ...(Object.keys(placed.annotations).length > 0 && { annotations: placed.annotations }),
      },
      ...operatorPlacement(placed, this.selector(role)),
      storage: { size: config.storage.size, ...(storageClass && { storageClass }) },
      // The operator's program, which it copies to the pod, and temporary files.
      resources: canonical(withDisk(resources, ["512Mi"])),
      bootstrap: {
        // The collation of the platform's PostgreSQL, so that both sort alike.
        initdb: { database, owner: database, localeCollate: "C.UTF-8", localeCType: "C.UTF-8", dataChecksums: true },
      },
      postgresql: {
        parameters: parameters(config),
        // A failover then loses no committed transaction. With two instances, the loss of one would stop all writes.
        ...(instances >= 3 && { synchronous: { method: "any", number: 1 } }),
      },
      // The PodDisruptionBudget of a single instance would block every drain of its node.
      enablePDB: instances > 1,
      // Seconds. The operator's defaults are 180 for clients to disconnect, and 1800 in all.
      smartShutdownTimeout: 10,
      stopDelay: 120,
    };
  }

  /** From the Secret `-app`, which the operator writes. */
  private ownerConnection(cluster: pulumi.Resource): SqlConnection<string | SecretKey> {
    const secret = TypedSecret.existing<"host" | "dbname" | "username" | "password">(this, `${this.name}-app`, 1);
    return {
      host: secret.key("host"),
      port,
      database: secret.key("dbname"),
      username: secret.key("username"),
      password: secret.key("password"),
      revision: secret.revision,
      ready: [cluster],
      ...this.serves(role, ["postgresql"]),
    };
  }
}

/** Where a Cluster's pods run, by the names that the operator has for it. */
function operatorPlacement(placed: ReturnType<typeof placementOf>, selector: Record<string, string>) {
  const { nodeSelector, tolerations, affinity, priorityClassName, zones } = placed;
  const rules = {
    ...(nodeSelector && { nodeSelector }),
    ...(tolerations && { tolerations }),
    ...(affinity?.nodeAffinity && { nodeAffinity: affinity.nodeAffinity }),
    ...(affinity?.podAffinity && { additionalPodAffinity: affinity.podAffinity }),
    ...(affinity?.podAntiAffinity && { additionalPodAntiAffinity: affinity.podAntiAffinity }),
  };
  const spread = spreadOverZones(selector, { zones });
  return {
    ...(Object.keys(rules).length > 0 && { affinity: rules }),
    ...(priorityClassName && { priorityClassName }),
    ...(spread.length > 0 && { topologySpreadConstraints: spread }),
  };
}

/**
 * Resources in the form that Kubernetes gives quantities: `1Gi` for `1024Mi`, `500m` for `0.5`. The operator returns the
 * Cluster with such ones, and each `up` would take another form for a change.
 */
function canonical<R extends object>(resources: R): R {
  const texts = (_: string, value: unknown) => (typeof value === "string" ? canonicalQuantity(value) : value);
  return JSON.parse(JSON.stringify(resources, texts)) as R;
}

function canonicalQuantity(quantity: string): string {
  // Kubernetes keeps an exponent.
  if (/[eE][+-]?\d/.test(quantity)) return quantity;
  const isBinary = quantity.endsWith("i");
  const [step, suffixes] = isBinary ? [1024, ["", "Ki", "Mi", "Gi", "Ti"]] : [1000, ["m", "", "k", "M", "G", "T"]];
  let number = isBinary ? bytes(quantity) : millicores(quantity);
  let power = 0;
  while (number > 0 && number % step === 0 && power < suffixes.length - 1) {
    number /= step;
    power += 1;
  }
  return `${number}${suffixes[power]}`;
}

/** PostgreSQL's parameters. */
function parameters({ resources, storage }: DatabaseClusterArgs["config"]): Record<string, string> {
  const log = logSizes(storage.size);
  return {
    // A quarter of the memory, as PostgreSQL's manual advises: of the request, which the pod is sure to have.
    shared_buffers: `${mebibytes(bytes(resources.requests.memory) / 4)}MB`,
    max_wal_size: `${log.most}MB`,
    min_wal_size: `${log.least}MB`,
    // For a replica that was down. The operator's default of 512 MB would be half of a small volume.
    wal_keep_size: `${Math.min(512, log.most)}MB`,
  };
}
