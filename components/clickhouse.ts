import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../config/images.ts";
import type { Config } from "../config/schema.ts";
import type { ClickhouseConnection, Endpoint } from "./kit/connection.ts";
import { Part, type Place } from "./kit/part.ts";

export class Clickhouse extends Part {
  readonly endpoint: Endpoint;

  constructor(
    name: string,
    args: { place: Place; config: Config["clickhouse"] },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { place, config } = args;
    super("Clickhouse", name, place, parseImage(config.image)?.tag ?? "", opts);
    this.endpoint = { namespace: place.namespace, service: name, host: this.host(), port: 0 };
    this.registerOutputs({});
  }

  get connection(): ClickhouseConnection | undefined {
    return undefined;
  }
}
