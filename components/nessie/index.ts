import type * as pulumi from "@pulumi/pulumi";
import { either } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { BucketConnection, CatalogConnection, Endpoint, SqlConnection } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { expose, hostOf, type Page } from "../kit/ingress.ts";
import { share } from "../kit/jvm.ts";
import { configFiles, drain, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { properties, withSettings } from "../kit/settings.ts";
import { nessiePool } from "../postgresql/connections.ts";

const ports = { http: 19120, management: 9000 };
const page: Page = { role: "server", withoutLogin: "nessie" };
/** User and group of the official image. */
const [user, group] = [10000, 10001];

export interface NessieArgs extends ComponentArgs<Config["nessie"]> {
  /** Database of the catalog: Nessie creates its tables there. */
  database: SqlConnection;
  /** Bucket of the tables' files. */
  warehouse: BucketConnection;
}

/** Nessie: an Iceberg REST catalog with branches and tags. It stores the catalog in PostgreSQL. */
export class Nessie extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "management", path: "/q/metrics" }];
  readonly endpoint: Endpoint;
  /** The catalog for Trino, Spark and Flink. */
  readonly catalog: CatalogConnection;

  constructor(name: string, args: NessieArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, warehouse } = args;
    super("Nessie", name, namespace, config, opts);
    const server = this.server(args);
    const front = service(this, { role: "server", ports, ...exposed(this, config.service), workload: server });
    expose(this, page, front);
    this.endpoint = endpoint(this, ports.http);
    this.catalog = {
      uri: `http://${this.host()}:${ports.http}/iceberg`,
      warehouse: warehouse.bucket,
      ready: [server, front],
      ...this.serves("server", ["http"]),
    };
    this.registerOutputs({});
  }

  private server({ config, database, warehouse }: NessieArgs) {
    const host = hostOf(this, page);
    const configuration = files(this, "config", settings({ database, warehouse, host }, config.settings));
    const heap = share(config.resources.limits.memory, 50);
    return deployment(this, {
      replicas: config.replicas,
      pod: {
        user,
        group,
        role: "server",
        connects: [database, warehouse],
        checksums: {
          config: configuration.checksum,
          database: database.revision,
          warehouse: warehouse.revision,
        },
        containers: {
          nessie: {
            image: this.image(config.image),
            // Quarkus reads config/ of the working directory.
            command: ["sh", "-c", 'cd /deployments && exec java "$@"', "nessie"],
            args: [`-Xms${heap}`, `-Xmx${heap}`, "-XX:+ExitOnOutOfMemoryError", "-jar", "quarkus-run.jar"],
            env: {
              DATABASE_USERNAME: database.username,
              DATABASE_PASSWORD: database.password,
              S3_ACCESS_KEY: warehouse.accessKey,
              S3_SECRET_KEY: warehouse.secretKey,
              HOME: "/tmp",
            },
            ports,
            resources: config.resources,
            mounts: { "/deployments/config": "config", "/tmp": "tmp" },
            startup: httpProbe("/q/health/started", "management", { every: 2, failures: 150 }),
            readiness: httpProbe("/q/health/ready", "management"),
            liveness: httpProbe("/q/health/live", "management", lenientLiveness),
            preStop: drain,
          },
        },
        volumes: { config: configFiles(configuration.name), tmp: scratch({ size: "256Mi" }) },
      },
      dependsOn: [...database.ready, ...warehouse.ready],
    });
  }
}

/** Quarkus substitutes `${…}` from the environment, so the file holds no password. */
const settings = (
  platform: { database: SqlConnection; warehouse: BucketConnection; host: string },
  own: Record<string, string>,
) => ({ "application.properties": withSettings(platformSettings(platform), own, properties) });

const platformSettings = ({
  database,
  warehouse: { endpoint, region, bucket },
  host,
}: Parameters<typeof settings>[0]) => `quarkus.http.port=${ports.http}
quarkus.management.port=${ports.management}

nessie.version.store.type=JDBC2
nessie.version.store.persist.jdbc.datasource=postgresql
quarkus.datasource.postgresql.jdbc.url=jdbc:postgresql://${database.host}:${database.port}/${database.database}
quarkus.datasource.postgresql.jdbc.max-size=${nessiePool}
quarkus.datasource.postgresql.username=\${DATABASE_USERNAME}
quarkus.datasource.postgresql.password=\${DATABASE_PASSWORD}

nessie.catalog.default-warehouse=${bucket}
nessie.catalog.warehouses.${bucket}.location=s3://${bucket}/
nessie.catalog.service.s3.default-options.endpoint=${endpoint}/
nessie.catalog.service.s3.default-options.region=${region}
nessie.catalog.service.s3.default-options.path-style-access=true
nessie.catalog.service.s3.default-options.access-key=urn:nessie-secret:quarkus:s3-key
# Clients have keys of their own, so none needs the catalog to sign its requests.
nessie.catalog.service.s3.default-options.request-signing-enabled=false
s3-key.name=\${S3_ACCESS_KEY}
s3-key.secret=\${S3_SECRET_KEY}
${either(
  host,
  () => proxied,
  () => "",
)}`;

/** Links begin with what a proxy says by X-Forwarded-*. Anyone who reaches the port can set these. */
const proxied = `quarkus.http.proxy.proxy-address-forwarding=true
quarkus.http.proxy.enable-forwarded-host=true
quarkus.http.proxy.allow-x-forwarded=true
`;
