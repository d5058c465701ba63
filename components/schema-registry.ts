import type * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../config/images.ts";
import type { Config } from "../config/schema.ts";
import type { Endpoint, KafkaConnection } from "./kit/connection.ts";
import { Part, type Place } from "./kit/part.ts";

export class SchemaRegistry extends Part {
  readonly endpoint: Endpoint;

  constructor(
    name: string,
    args: { place: Place; config: Config["schemaRegistry"]; kafka: KafkaConnection },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { place, config } = args;
    super("SchemaRegistry", name, place, parseImage(config.image)?.tag ?? "", opts);
    this.endpoint = { namespace: place.namespace, service: name, host: this.host(), port: 0 };
    this.registerOutputs({});
  }
}
