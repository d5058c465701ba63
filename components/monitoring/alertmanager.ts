import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { type ConfigFiles, files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { expose, type Page, urlOf } from "../kit/ingress.ts";
import type { Connects } from "../kit/network.ts";
import { configFiles, httpProbe, lenientLiveness, secretFiles } from "../kit/pod.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { type AlertmanagerConfig, addresses, secretFiles as filesIn, secretFolder } from "./receivers.ts";

const ports = { http: 9093 };
/** User and group `nobody` of the official image. */
const user = 65534;

const page: Page = { role: "server", withoutLogin: "alertmanager" };

const configFolder = "/etc/alertmanager/config";

/** Where Prometheus sends alerts. */
export interface AlertmanagerConnection extends Connects {
  /** `host:port`. */
  address: string;
}

/** What Alertmanager needs from the platform. */
export interface AlertmanagerArgs extends ComponentArgs<Config["monitoring"]["alertmanager"]> {}

/** Alertmanager: groups the alerts of Prometheus, and sends them to the stack's receivers. */
export class Alertmanager extends Component {
  override readonly configKey = "monitoring.alertmanager";
  override readonly metrics: Metrics[] = [{ role: "server", port: "http" }];
  readonly endpoint: Endpoint;
  /** For Prometheus. */
  readonly connection: AlertmanagerConnection;

  constructor(name: string, args: AlertmanagerArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config } = args;
    super("Alertmanager", name, namespace, config, opts);

    const own = config.config ?? {};
    const configuration = files(this, "config", { "alertmanager.yml": stringify(own) });
    const server = this.server(config, own, configuration);
    const reached = exposed(this, config.service);
    expose(this, page, service(this, { role: "server", ports, ...reached, workload: server }));

    this.endpoint = endpoint(this, ports.http);
    this.connection = { address: `${this.host()}:${ports.http}`, ...this.serves("server", ["http"]) };
    this.registerOutputs({});
  }

  private server(config: AlertmanagerArgs["config"], own: AlertmanagerConfig, configuration: ConfigFiles) {
    const secrets = filesIn(own).map(({ secret, key }) => [`${secret}/${key}`, { secret, key }] as const);
    return stateful<string>(this, {
      replicas: 1,
      ports,
      storage: config.storage,
      pod: {
        user,
        role: "server",
        checksums: { config: configuration.checksum },
        outside: addresses(own),
        containers: {
          alertmanager: {
            image: this.image(config.image),
            command: ["/bin/alertmanager"],
            args: options(urlOf(this, page) || `http://${this.host()}:${ports.http}`),
            ports,
            resources: config.resources,
            mounts: {
              "/alertmanager": "data",
              [configFolder]: "config",
              ...(secrets.length > 0 && { [secretFolder]: "secrets" }),
            },
            startup: httpProbe("/-/ready", "http", { every: 2, failures: 150 }),
            readiness: httpProbe("/-/ready", "http"),
            liveness: httpProbe("/-/healthy", "http", lenientLiveness),
          },
        },
        volumes: {
          config: configFiles(configuration.name),
          // Alertmanager reads a file each time it sends, so that another value of a Secret needs no restart.
          ...(secrets.length > 0 && {
            secrets: secretFiles(
              Object.fromEntries(
                secrets.map(([file, { secret, key }]) => [
                  file,
                  { secret: pulumi.output(secret), key, title: `Secret ${secret}, key ${key}` },
                ]),
              ),
            ),
          }),
        },
      },
    });
  }
}

const options = (url: string): string[] => [
  `--config.file=${configFolder}/alertmanager.yml`,
  "--storage.path=/alertmanager",
  // Links in messages begin with it.
  `--web.external-url=${url}/`,
  // One pod has no peers to listen for.
  "--cluster.listen-address=",
];
