import type * as pulumi from "@pulumi/pulumi";
import { either, joined, when } from "../../config/derived.ts";
import type {
  BucketConnection,
  CatalogConnection,
  ClickhouseConnection,
  KafkaConnection,
  SqlConnection,
} from "../kit/connection.ts";
import type { Connects } from "../kit/network.ts";
import { shellPassword } from "../kit/password.ts";
import type { SecretKey } from "../kit/secret.ts";
import { properties as notation, withSettings } from "../kit/settings.ts";

/** Directory of the catalogs' files with credentials. */
export const secretsPath = "/run/catalogs";

/** Data sources. Each becomes a catalog of the same name. */
export interface Catalogs {
  /** The Iceberg REST catalog, and the bucket of its tables' files. */
  iceberg: { catalog: CatalogConnection; bucket: BucketConnection };
  /** A PostgreSQL database. Default: no catalog. */
  postgresql?: SqlConnection | undefined;
  /** A ClickHouse server. Default: no catalog. */
  clickhouse?: ClickhouseConnection | undefined;
  /** A Kafka cluster. Default: no catalog. */
  kafka?: KafkaConnection | undefined;
  /** Bucket of the intermediate data of queries that are retried. Default: none is. */
  exchange?: BucketConnection | undefined;
}

/** One catalog: the file `<name>.properties`. */
interface Catalog {
  name: string;
  properties: string;
  /** What must be set for it to exist. Default: it always does. */
  source?: unknown;
  /** Credentials. Trino substitutes `${ENV:…}`, so no file holds a password. */
  env?: Record<string, SecretKey>;
  /** Files with credentials, in `secretsPath`, for what Trino substitutes nothing in. */
  secrets?: Record<string, SecretKey>;
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
  // Of a platform's catalog that this stack does not have, there is nothing to add to.
  const more = Object.entries(own).filter(
    ([name, { "connector.name": connector }]) => connector && catalogs.every((catalog) => catalog.name !== name),
  );
  /** Fields of every catalog. */
  const fields = <T>(of: (catalog: Catalog) => Record<string, T>): Record<string, T> =>
    Object.assign({}, ...catalogs.map((catalog) => when(catalog.source ?? true, () => of(catalog))));
  return {
    files: {
      ...fields(({ name, properties }) => ({
        [`${name}.properties`]: withSettings(properties, own[name] ?? {}, notation),
      })),
      ...Object.fromEntries(more.map(([name, added]) => [`${name}.properties`, withSettings("", added, notation)])),
    },
    env: fields(({ env = {} }) => env),
    secrets: fields(({ secrets = {} }) => secrets),
    /** Shell: strips line ends from the credentials of existing Secrets, which Trino would send. */
    stripped: catalogs
      .map(({ source = true, env = {} }) =>
        either(
          source,
          () =>
            Object.entries(env)
              .map(([variable, key]) => `${shellPassword(variable, key)}\n`)
              .join(""),
          () => "",
        ),
      )
      .join(""),
    revisions: fields(({ revisions = {} }) => revisions),
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
    source,
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

const kafkaCatalog = (source: KafkaConnection, topics: string[]): Catalog => ({
  name: "kafka",
  source,
  properties: `connector.name=kafka
kafka.nodes=${source.bootstrapServers}
kafka.table-names=${joined(topics, ",")}
# The message, its partition and its offset are internal columns, the only ones of a topic without a table description.
kafka.hide-internal-columns=false
${source.login ? `kafka.config.resources=${secretsPath}/${kafkaFile}\n` : ""}`,
  ...(source.login && {
    secrets: { [kafkaFile]: source.login.properties },
    revisions: { kafka: source.login.revision },
  }),
  connects: [source],
  ready: source.ready,
});

const kafkaFile = "kafka.properties";
