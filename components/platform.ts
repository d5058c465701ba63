import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { LoadedConfig } from "../config/load.ts";
import type { Endpoint } from "./kit/connection.ts";
import type { Place } from "./kit/part.ts";
import { Minio } from "./minio.ts";
import { Namespace } from "./namespaces.ts";
import { Postgresql } from "./postgresql.ts";
import { Redis } from "./redis.ts";

/** A Secret's place, for whoever may read it. */
interface SecretName {
  namespace: string;
  name: pulumi.Input<string>;
}

/** The whole platform: reads from top to bottom as what needs what. */
export class Platform extends pulumi.ComponentResource {
  /** Where each part answers. */
  readonly endpoints: Record<string, Endpoint> = {};
  /** The Secret with each part's administrator's password. Never a password. */
  readonly secrets: Record<string, SecretName> = {};
  readonly namespaces: Record<string, string>;

  constructor({ stack, config, cluster }: LoadedConfig) {
    const provider = new k8s.Provider("kubernetes", {
      ...cluster,
      // Changed in place, and pods rolled by a checksum: replacing one would take what refers to it along.
      enableConfigMapMutable: true,
      enableSecretMutable: true,
      // A field that someone set by hand comes back to what the program says, as under server-side apply.
      enablePatchForce: true,
    });
    super("data-platform:index:Platform", "platform", {}, { providers: [provider] });
    const child = { parent: this };

    const { global } = config;
    const salt = new random.RandomPassword("checksum-salt", { length: 32, special: false }, child).result;
    const namespace = (key: keyof typeof config.namespaces): Place => {
      const settings = config.namespaces[key];
      const { name, ready } = new Namespace(key, { stack, settings, protectData: global.protectData }, child);
      return { stack, namespace: name, ready, global, salt };
    };
    const core = namespace("core");
    const apps = namespace("apps");
    this.namespaces = { core: core.namespace, apps: apps.namespace };

    if (config.postgresql.enabled) {
      const databases = ["nessie", "airflow", "superset", "mlflow"] as const;
      const postgresql = new Postgresql("postgresql", { place: core, config: config.postgresql, databases }, child);
      this.offer("postgresql", postgresql);
    }
    if (config.redis.enabled) {
      const redis = new Redis("redis", { place: core, config: config.redis }, child);
      this.offer("redis", redis);
    }
    if (config.minio.enabled) {
      const buckets = ["lakehouse", "warehouse", "airflow", "flink", "mlflow"] as const;
      const minio = new Minio("minio", { place: core, config: config.minio, buckets }, child);
      this.offer("minio", minio);
    }
    this.registerOutputs({});
  }

  private offer(part: string, { endpoint, admin }: { endpoint: Endpoint; admin: SecretName }) {
    this.endpoints[part] = endpoint;
    this.secrets[part] = { namespace: admin.namespace, name: admin.name };
  }
}
