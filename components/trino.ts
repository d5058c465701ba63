import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../config/images.ts";
import type { Config } from "../config/schema.ts";
import type {
  BucketConnection,
  CatalogConnection,
  ClickhouseConnection,
  Endpoint,
  KafkaConnection,
  SqlConnection,
  TrinoConnection,
} from "./kit/connection.ts";
import { Part, type Place } from "./kit/part.ts";

export class Trino extends Part {
  readonly endpoint: Endpoint;

  constructor(
    name: string,
    args: {
      place: Place;
      config: Config["trino"];
      catalogs: {
        iceberg: { catalog: CatalogConnection; bucket: BucketConnection };
        postgresql?: SqlConnection;
        clickhouse?: ClickhouseConnection;
        kafka?: KafkaConnection;
      };
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { place, config } = args;
    super("Trino", name, place, parseImage(config.image)?.tag ?? "", opts);
    this.endpoint = { namespace: place.namespace, service: name, host: this.host(), port: 0 };
    this.registerOutputs({});
  }

  get connection(): TrinoConnection {
    return { host: this.host(), port: 0, ready: [] };
  }
}
