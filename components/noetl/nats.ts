import * as pulumi from "@pulumi/pulumi";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import type { Endpoint } from "../kit/connection.ts";
import { httpProbe, lenientLiveness, secretFiles } from "../kit/pod.ts";
import { password, type SecretKey, TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";

const ports = { nats: 4222, monitor: 8222 };
/** User and group of the server's process; the image asks for none in particular. */
const user = 1000;

/** How one instance of NoETL reaches its own streams, which no other one sees. */
export interface NatsConnection {
  port: number;
  /** With user and password in it, as NoETL's client wants it. */
  url: SecretKey;
  username: SecretKey;
  password: SecretKey;
  /** Changes with the password. */
  revision: pulumi.Output<string>;
  ready: pulumi.Resource[];
}

/** NATS with JetStream, where servers leave the commands that workers take: one for all instances, an account for each. */
export class Nats extends Component {
  override readonly configKey = "noetl.nats";
  readonly endpoint: Endpoint;
  private readonly users: Map<string, TypedSecret<"url" | "username" | "password">>;
  private readonly ready: pulumi.Resource[];

  constructor(
    name: string,
    args: { namespace: NamespaceContext; config: Config["noetl"]["nats"]; instances: string[] },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, instances } = args;
    super("Nats", name, namespace, parseImage(config.image)?.tag ?? "", opts);

    const passwords = instances.map((instance) => [instance, password(this, `user-${instance}`, 1)] as const);
    this.users = new Map(
      passwords.map(([instance, secret]) => [
        instance,
        TypedSecret.create(this, `user-${instance}`, {
          url: pulumi.interpolate`nats://${instance}:${secret}@${this.host()}:${ports.nats}`,
          username: instance,
          password: secret,
        }),
      ]),
    );
    // The whole file is a Secret: NATS takes a value from the environment for a number where it begins like one.
    const accounts = passwords.map(
      ([instance, secret]) =>
        pulumi.interpolate`  "${instance}": { jetstream: enabled, users: [{ user: "${instance}", password: "${secret}" }] }`,
    );
    const configuration = TypedSecret.create(this, "config", {
      "nats.conf": pulumi.all(accounts).apply((lines) => settings(lines)),
    });

    const server = stateful(this, {
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
    const front = service(this, { role: "queue", ports: { nats: ports.nats }, workload: server });
    this.ready = [server, front];
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.nats };
    this.registerOutputs({});
  }

  connection(instance: string): NatsConnection {
    const secret = this.users.get(instance)!;
    return {
      port: ports.nats,
      url: secret.key("url"),
      username: secret.key("username"),
      password: secret.key("password"),
      revision: secret.revision,
      ready: this.ready,
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
