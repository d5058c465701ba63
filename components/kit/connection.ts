import type * as pulumi from "@pulumi/pulumi";
import type { Connects } from "./network.ts";
import type { Container, Volume } from "./pod.ts";
import type { SecretKey } from "./secret.ts";

/*
 * What a component offers to others: an address, the Secret keys of the credentials, and the resources to depend on.
 * Methods that return a connection take the client's namespace, because a pod reads Secrets of its own namespace only:
 * the Secret is copied there.
 */

/** `server`: the pods and ports that serve it. A client names the connection in its pod's `connects`. */
interface Connection extends Connects {
  /** Resources that a client depends on. A client that starts earlier fails and restarts. */
  ready: pulumi.Resource[];
}

/** A SQL database. `T` is the type of host and database: plain text, or Secret keys if an operator generates both. */
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
  /** Number of the client's logical database. */
  database: number;
  /** Default: the user `default`, whom the password alone names. */
  username?: string | undefined;
  password: SecretKey;
  /** Changes with the password. */
  revision: pulumi.Output<string>;
}

/** An S3 bucket. Clients must use path-style addresses: a bucket has no host name. */
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

/** An Iceberg REST catalog. Clients access the tables' files in the bucket directly. */
export interface CatalogConnection extends Connection {
  uri: string;
  /** Name of the catalog's warehouse. */
  warehouse: string;
}

/** What a pod needs to wait for topics of Kafka: an init container, and the volumes of it. */
export interface WaitForTopics {
  container: Container<string>;
  volumes: Record<string, Volume>;
}

/** A user of Kafka, who logs in by SASL with SCRAM-SHA-512 and without TLS. */
export interface KafkaLogin {
  username: SecretKey;
  password: SecretKey;
  /** The file with the settings of a Java client that logs in. */
  properties: SecretKey;
  /** Changes with the password. */
  revision: pulumi.Output<string>;
}

export interface KafkaConnection extends Connection {
  /** `host:port` of one broker or several, with commas between them. */
  bootstrapServers: string;
  /** Replication factor for topics: the number of brokers, at most three. */
  replication: number;
  /** The client's user. Default: Kafka has no authentication. */
  login?: KafkaLogin | undefined;
}

/** ClickHouse's HTTP interface. */
export interface ClickhouseConnection extends SqlConnection {}

/** Trino's HTTP interface. It has no authentication. */
export interface TrinoConnection extends Connection {
  host: string;
  port: number;
}

/** A StatsD server, over UDP. */
export interface StatsdConnection extends Connection {
  host: string;
  port: number;
}

/** Address of a component, for the stack's outputs. */
export interface Endpoint {
  namespace: string;
  /** Name of the Service. */
  service: string;
  /** Host name, valid in every namespace of the cluster. */
  host: string;
  port: number;
}
