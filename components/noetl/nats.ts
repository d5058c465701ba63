import * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component } from "../kit/component.ts";
import type { Endpoint } from "../kit/connection.ts";
import type { Connects } from "../kit/network.ts";
import { httpProbe, lenientLiveness, secretFiles } from "../kit/pod.ts";
import { password, type SecretKey, TypedSecret } from "../kit/secret.ts";
import { endpoint, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";

const ports = { nats: 4222, monitor: 8222 };
/** User and group of the server's process. The image does not need a particular one. */
const user = 1000;

/** The account of one instance of NoETL. Its streams are invisible to other accounts. */
export interface NatsConnection extends Connects {
  port: number;
  /** With user and password, as NoETL's client expects. */
  url: SecretKey;
  username: SecretKey;
  password: SecretKey;
  /** Changes with the password. */
  revision: pulumi.Output<string>;
  ready: pulumi.Resource[];
}

type User = TypedSecret<"url" | "username" | "password">;

/** What NATS needs from the platform. */
export interface NatsArgs extends ComponentArgs<Config["noetl"]["nats"]> {
  /** Names of the instances of NoETL: each gets an account. */
  instances: string[];
}

/** NATS with JetStream, the queue between NoETL's servers and workers: one for all instances. */
export class Nats extends Component {
  override readonly configKey = "noetl.nats";
  readonly endpoint: Endpoint;
  /** The Secret of each instance's user. */
  private readonly users = new Map<string, User>();
  private readonly ready: pulumi.Resource[];

  constructor(name: string, { namespace, config, instances }: NatsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("Nats", name, namespace, config, opts);

    const accounts = instances.map((instance) => this.instanceAccount(instance));
    // The whole file is a Secret: NATS parses a variable's value as a number if it begins like one.
    const configuration = TypedSecret.create(this, "config", () => ({
      "nats.conf": pulumi.all(accounts).apply((lines) => settings(lines)),
    }));
    const server = this.server(config, configuration);
    const front = service(this, { role: "queue", ports: { nats: ports.nats }, workload: server });

    this.ready = [server, front];
    this.endpoint = endpoint(this, ports.nats);
    this.registerOutputs({});
  }

  /** Creates the user of an instance and returns its account's line of nats.conf. */
  private instanceAccount(instance: string): pulumi.Output<string> {
    const secret = password(this, `user-${instance}`, 1);
    this.users.set(
      instance,
      TypedSecret.create(this, `user-${instance}`, () => ({
        url: pulumi.interpolate`nats://${instance}:${secret}@${this.host()}:${ports.nats}`,
        username: instance,
        password: secret,
      })),
    );
    return pulumi.interpolate`  "${instance}": { jetstream: enabled, users: [{ user: "${instance}", password: "${secret}" }] }`;
  }

  private server(config: NatsArgs["config"], configuration: TypedSecret<"nats.conf">) {
    return stateful(this, {
      replicas: 1,
      ports,
      storage: config.storage,
      pod: {
        user,
        role: "queue",
        checksums: { config: configuration.revision },
        containers: {
          nats: {
            image: this.image(config.image),
            command: ["/nats-server", "--config", "/etc/nats/nats.conf"],
            ports,
            resources: config.resources,
            mounts: { "/data": "data", "/etc/nats": "config" },
            startup: httpProbe("/healthz", "monitor", { every: 2, failures: 150 }),
            readiness: httpProbe("/healthz", "monitor"),
            liveness: httpProbe("/healthz", "monitor", lenientLiveness),
          },
        },
        volumes: { config: secretFiles({ "nats.conf": configuration.key("nats.conf") }) },
      },
    });
  }

  /** The account of one of `instances`. */
  connection(instance: string): NatsConnection {
    const secret = this.users.get(instance);
    if (!secret) throw new Error(`NATS has no account for the instance ${instance}`);
    return {
      port: ports.nats,
      url: secret.key("url"),
      username: secret.key("username"),
      password: secret.key("password"),
      revision: secret.revision,
      ready: this.ready,
      ...this.serves("queue", ["nats"]),
    };
  }
}

const settings = (accounts: string[]) => `port: ${ports.nats}
http_port: ${ports.monitor}
jetstream {
  store_dir: "/data"
  max_memory_store: 32MB
}
accounts {
${accounts.join("\n")}
}
`;
