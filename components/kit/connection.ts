import type * as pulumi from "@pulumi/pulumi";
import type { SecretKey } from "./secret.ts";

/*
 * What one part hands to another: where to connect, and the key of the Secret with the password. The Secret lies
 * in the namespace of the part that gives it.
 */

export interface SqlConnection {
  host: string;
  port: number;
  database: string;
  username: SecretKey;
  password: SecretKey;
  /** Changes with the password. */
  revision: pulumi.Output<string>;
}

export interface RedisConnection {
  host: string;
  port: number;
  password: SecretKey;
  /** Changes with the password. */
  revision: pulumi.Output<string>;
}

/** An S3 bucket. Clients use path style: a bucket is no host name here. */
export interface BucketConnection {
  /** `http://host:port`. */
  endpoint: string;
  region: string;
  bucket: string;
  accessKey: SecretKey;
  secretKey: SecretKey;
  /** Changes with the keys. */
  revision: pulumi.Output<string>;
}

/** Where a part answers, for the stack's outputs. */
export interface Endpoint {
  namespace: string;
  service: string;
  host: string;
  port: number;
}
