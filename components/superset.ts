import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../config/images.ts";
import type { Config } from "../config/schema.ts";
import type {
  ClickhouseConnection,
  Endpoint,
  RedisConnection,
  SqlConnection,
  TrinoConnection,
} from "./kit/connection.ts";
import { Part, type Place } from "./kit/part.ts";

export class Superset extends Part {
  readonly endpoint: Endpoint;

  constructor(
    name: string,
    args: {
      place: Place;
      config: Config["superset"];
      database: SqlConnection;
      cache: RedisConnection;
      queue: RedisConnection;
      sources: { trino?: TrinoConnection; clickhouse?: ClickhouseConnection; postgresql: SqlConnection };
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { place, config } = args;
    super("Superset", name, place, parseImage(config.image)?.tag ?? "", opts);
    this.endpoint = { namespace: place.namespace, service: name, host: this.host(), port: 0 };
    this.registerOutputs({});
  }
}
