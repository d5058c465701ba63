import type * as pulumi from "@pulumi/pulumi";
import type { SecretKey } from "./secret.ts";

/*
 * What one component hands to another: where to connect, the key of the Secret with the password, and what has to be
 * there first. Whoever asks for a connection says from where: the Secret is copied there.
 */

interface Connection {
  /** What must be done before a client can use it: what starts with these beside it would fail and start again. */
  ready: pulumi.Resource[];
}

/** `T` is how host and database are told: as they are; or by a Secret, as operators make one for each database. */
export interface SqlConnection<T = string> extends Connection {
  host: T;
  port: number;
  database: T;
  username: SecretKey;
  password: SecretKey;
  /** Changes with the password. */
  revision: pulumi.Output<string>;
}

export interface RedisConnection extends Connection {
  host: string;
  port: number;
  /** Number of the database, the client's own. */
  database: number;
  password: SecretKey;
  /** Changes with the password. */
  revision: pulumi.Output<string>;
}

/** An S3 bucket. Clients use path style: a bucket is no host name here. */
export interface BucketConnection extends Connection {
  /** `http://host:port`. */
  endpoint: string;
  region: string;
  bucket: string;
  accessKey: SecretKey;
  secretKey: SecretKey;
  /** Changes with the keys. */
  revision: pulumi.Output<string>;
}

/** An Iceberg REST catalog. Clients read and write the tables' files in the bucket themselves. */
export interface CatalogConnection extends Connection {
  uri: string;
  warehouse: string;
}

export interface KafkaConnection extends Connection {
  /** `host:port`, of one broker or several. */
  bootstrapServers: string;
  /** Copies that a topic should have: as many as there are brokers, up to three. */
  replication: number;
}

/** ClickHouse's HTTP interface, which speaks SQL. */
export interface ClickhouseConnection extends SqlConnection {}

/** Trino's HTTP interface. It asks for no password. */
export interface TrinoConnection extends Connection {
  host: string;
  port: number;
}

/** Where numbers are told by UDP, in the format of StatsD. */
export interface StatsdConnection extends Connection {
  host: string;
  port: number;
}

/** Where a component answers, for the stack's outputs. */
export interface Endpoint {
  namespace: string;
  service: string;
  host: string;
  port: number;
}
