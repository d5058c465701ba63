import { fileURLToPath } from "node:url";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import { bytes, mebibytes } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import type { Endpoint, SqlConnection } from "../kit/connection.ts";
import { type SecretKey, TypedSecret } from "../kit/secret.ts";
import { refuseToShrink } from "../kit/storage.ts";
import { logSizes } from "../postgresql/index.ts";

/** Where the chart lies, whatever directory the program is run from. */
const chart = fileURLToPath(new URL("../../charts/cloudnative-pg", import.meta.url));
const port = 5432;
/** What the servers are among the objects of their component. */
const role = "postgresql";

/** CloudNativePG's operator, one for the whole Kubernetes cluster. */
export class CloudnativePg extends Component {
  /** What a database waits for: its kind, and the operator, which is asked about each before it is stored. */
  readonly ready: pulumi.Resource[];

  constructor(
    name: string,
    args: { namespace: NamespaceContext; config: Config["cloudnativePg"] },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config } = args;
    super("CloudnativePg", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    const { imagePullPolicy, imagePullSecrets, protectData } = namespace.global;
    // The chart puts the colon back, be it a tag's or a digest's.
    const image = pulumi.output(this.image(config.image)).apply((reference) => {
      const [, repository, tag] = /^(.+?):([^/]+)$/.exec(reference)!;
      return { repository, tag };
    });
    this.ready = [
      new k8s.helm.v4.Chart(
        name,
        {
          chart,
          namespace: namespace.name,
          values: {
            "cloudnative-pg": {
              image: { repository: image.repository, tag: image.tag, pullPolicy: imagePullPolicy },
              imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })),
              resources: config.resources,
            },
          },
        },
        { parent: this, dependsOn: namespace.ready, transforms: [keepKinds(protectData)] },
      ),
    ];
    this.registerOutputs({});
  }
}

/**
 * With a kind goes every object of it, in every namespace: here, every database. So kinds are kept as volumes are. The chart
 * asks for that in a way that only Helm heeds.
 */
export const keepKinds =
  (keep: boolean): pulumi.ResourceTransform =>
  ({ type, props, opts }) =>
    type.endsWith(":CustomResourceDefinition")
      ? { props, opts: { ...opts, protect: keep, retainOnDelete: keep } }
      : undefined;

/** PostgreSQL for one application: servers that CloudNativePG makes, watches over and replaces. */
export class DatabaseCluster extends Component {
  override readonly configKey: string;
  override readonly metrics: Metrics[] = [{ role, port: "metrics" }];
  readonly endpoint: Endpoint;
  /** How to reach the database as its owner, from the place where it is. */
  readonly connection: SqlConnection<string | SecretKey>;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["polls"]["databaseCluster"];
      /** The block of the stack's configuration that `config` is, with dots. */
      configKey: string;
      /** Of the database and of its owner. */
      database: string;
      /** What has to be there before; nothing, where the Kubernetes cluster had an operator before this stack. */
      operator: pulumi.Resource[];
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, database } = args;
    super("DatabaseCluster", name, namespace, parseImage(config.image)?.tag ?? "", opts);
    this.configKey = args.configKey;

    const { imagePullPolicy, imagePullSecrets } = namespace.global;
    const storageClass = config.storage.storageClass ?? namespace.global.storageClass;
    const { instances } = config;
    const log = logSizes(config.storage.size);
    const cluster = new k8s.apiextensions.CustomResource(
      name,
      {
        apiVersion: "postgresql.cnpg.io/v1",
        kind: "Cluster",
        metadata: {
          ...this.metadata(undefined, role),
          annotations: {
            // Which key of the stack to change, for whoever meets it.
            "data-platform/config-key": `${this.configKey}.storage.size`,
            "pulumi.com/waitFor": "condition=Ready",
          },
        },
        spec: {
          instances,
          imageName: this.image(config.image),
          imagePullPolicy,
          ...(imagePullSecrets.length > 0 && {
            imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })),
          }),
          // On its pods and volumes too: by them they are found, as everyone's are.
          inheritedMetadata: {
            labels: { ...this.selector(role), "app.kubernetes.io/part-of": "data-platform" },
          },
          storage: { size: config.storage.size, ...(storageClass && { storageClass }) },
          resources: config.resources,
          bootstrap: {
            // As the platform's PostgreSQL has it, so that names sort alike in both.
            initdb: {
              database,
              owner: database,
              localeCollate: "C.UTF-8",
              localeCType: "C.UTF-8",
              dataChecksums: true,
            },
          },
          postgresql: {
            // A quarter of the memory, as PostgreSQL's manual advises: of that which it is sure to have.
            parameters: {
              shared_buffers: `${mebibytes(bytes(config.resources.requests.memory) / 4)}MB`,
              max_wal_size: `${log.most}MB`,
              min_wal_size: `${log.least}MB`,
              // For a server that was away; the operator's own 512 MB would be half of a small volume.
              wal_keep_size: `${Math.min(512, log.most)}MB`,
            },
            // A takeover then loses nothing that was confirmed. With two, the loss of one would stop all writing.
            ...(instances >= 3 && { synchronous: { method: "any", number: 1 } }),
          },
          // One server that may not be away would keep its node from ever being emptied.
          enablePDB: instances > 1,
          // The operator's own: three minutes for clients to go by themselves, half an hour in all.
          smartShutdownTimeout: 10,
          stopDelay: 120,
        },
      },
      this.dataChild({
        dependsOn: args.operator,
        hooks: { beforeUpdate: [refuseToShrink(this, name, ({ spec }) => spec?.storage?.size)] },
      }),
    );

    // Made by the operator, which knows no other way to say what it has set up.
    const secret = TypedSecret.existing<"host" | "dbname" | "username" | "password">(this, `${name}-app`, 1);
    this.connection = {
      host: secret.key("host"),
      port,
      database: secret.key("dbname"),
      username: secret.key("username"),
      password: secret.key("password"),
      revision: secret.revision,
      ready: [cluster],
    };
    // The Service that leads to the server that takes what is written.
    this.endpoint = { namespace: namespace.name, service: this.named("rw"), host: this.host("rw"), port };
    this.registerOutputs({});
  }
}
