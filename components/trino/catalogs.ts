import type * as pulumi from "@pulumi/pulumi";
import type {
  BucketConnection,
  CatalogConnection,
  ClickhouseConnection,
  KafkaConnection,
  SqlConnection,
} from "../kit/connection.ts";
import type { Connects } from "../kit/network.ts";
import type { SecretKey } from "../kit/secret.ts";
import { properties as notation, withSettings } from "../kit/settings.ts";

/** Data sources. Each becomes a catalog of the same name. */
export interface Catalogs {
  /** The Iceberg REST catalog, and the bucket of its tables' files. */
  iceberg: { catalog: CatalogConnection; bucket: BucketConnection };
  /** A PostgreSQL database. Default: no catalog. */
  postgresql?: SqlConnection;
  /** A ClickHouse server. Default: no catalog. */
  clickhouse?: ClickhouseConnection;
  /** A Kafka cluster. Default: no catalog. */
  kafka?: KafkaConnection;
  /** Bucket of the intermediate data of queries that are retried. Default: none is. */
  exchange?: BucketConnection | undefined;
}

/** One catalog: the file `<name>.properties`. */
interface Catalog {
  name: string;
  properties: string;
  /** Credentials. Trino substitutes `${ENV:…}`, so no file holds a password. */
  env?: Record<string, SecretKey>;
  /** Checksums that change with the credentials. */
  revisions?: Record<string, pulumi.Output<string>>;
  /** What a query connects to. */
  connects?: Connects[];
  /** What must exist before a query uses the catalog. */
  ready?: pulumi.Resource[];
}

/**
 * The files of /etc/trino/catalog, and what a node needs for them. `topics`: Kafka topics that are tables. `own`: the
 * stack's catalogs, and what it adds to these.
 */
export function catalogFiles(
  { iceberg, postgresql, clickhouse, kafka }: Catalogs,
  topics: string[],
  own: Record<string, Record<string, string>>,
) {
  const catalogs: Catalog[] = [
    // Generated sample data.
    { name: "tpch", properties: "connector.name=tpch\n" },
    icebergCatalog(iceberg),
    ...(postgresql ? [jdbcCatalog("postgresql", postgresql, postgresql.database)] : []),
    ...(clickhouse ? [jdbcCatalog("clickhouse", clickhouse, "")] : []),
    ...(kafka ? [kafkaCatalog(kafka, topics)] : []),
  ];
  const platform = Object.fromEntries(catalogs.map(({ name, properties }) => [name, properties]));
  // Of a platform's catalog that this stack does not have, there is nothing to add to.
  const others = Object.keys(own).filter((name) => own[name]?.["connector.name"]);
  return {
    files: Object.fromEntries(
      [...new Set([...Object.keys(platform), ...others])].map((name) => [
        `${name}.properties`,
        withSettings(platform[name] ?? "", own[name] ?? {}, notation),
      ]),
    ),
    env: Object.fromEntries(catalogs.flatMap(({ env = {} }) => Object.entries(env))),
    revisions: Object.fromEntries(catalogs.flatMap(({ revisions = {} }) => Object.entries(revisions))),
    connects: catalogs.flatMap(({ connects = [] }) => connects),
    ready: catalogs.flatMap(({ ready = [] }) => ready),
  };
}

const icebergCatalog = ({ catalog, bucket }: Catalogs["iceberg"]): Catalog => ({
  name: "iceberg",
  properties: `connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri=${catalog.uri}
iceberg.rest-catalog.warehouse=${catalog.warehouse}
fs.native-s3.enabled=true
s3.endpoint=${bucket.endpoint}
s3.region=${bucket.region}
s3.path-style-access=true
s3.aws-access-key=\${ENV:S3_ACCESS_KEY}
s3.aws-secret-key=\${ENV:S3_SECRET_KEY}
`,
  env: { S3_ACCESS_KEY: bucket.accessKey, S3_SECRET_KEY: bucket.secretKey },
  revisions: { bucket: bucket.revision },
  connects: [catalog, bucket],
  ready: [...catalog.ready, ...bucket.ready],
});

/** A catalog of a connector that uses JDBC. The connector and the URL's scheme are both called `name`. */
function jdbcCatalog(name: string, source: SqlConnection, path: string): Catalog {
  const prefix = name.toUpperCase();
  return {
    name,
    properties: `connector.name=${name}
connection-url=jdbc:${name}://${source.host}:${source.port}/${path}
connection-user=\${ENV:${prefix}_USERNAME}
connection-password=\${ENV:${prefix}_PASSWORD}
`,
    env: { [`${prefix}_USERNAME`]: source.username, [`${prefix}_PASSWORD`]: source.password },
    revisions: { [name]: source.revision },
    connects: [source],
    ready: source.ready,
  };
}

const kafkaCatalog = ({ bootstrapServers, server, ready }: KafkaConnection, topics: string[]): Catalog => ({
  name: "kafka",
  properties: `connector.name=kafka
kafka.nodes=${bootstrapServers}
kafka.table-names=${topics.join(",")}
# The message, its partition and its offset are internal columns, the only ones of a topic without a table description.
kafka.hide-internal-columns=false
`,
  connects: [{ server }],
  ready,
});
