import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { parseImage } from "../../config/images.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { shellPassword } from "../kit/password.ts";
import { configFiles, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { credentials, password, type SecretKey, type TypedSecret } from "../kit/secret.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { reading } from "./prometheus.ts";

const ports = { http: 3000 };
/** User and group of the official image. */
const [user, group] = [472, 0];
const paths = { config: "/etc/grafana", data: "/var/lib/grafana", dashboards: "/etc/dashboards" };

/** Grafana: shows what Prometheus has, with a dashboard for each component that there is. */
export class Grafana extends Component {
  override readonly configKey = "monitoring.grafana";
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;

  constructor(
    name: string,
    args: {
      namespace: NamespaceContext;
      config: Config["monitoring"]["grafana"];
      /** Where Prometheus answers. */
      prometheus: string;
      dashboards: { name: pulumi.Output<string>; checksum: string };
    },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config, prometheus, dashboards } = args;
    super("Grafana", name, namespace, parseImage(config.image)?.tag ?? "", opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));
    const configuration = files(this, "config", settings(prometheus));
    const image = this.image(config.image);
    const mounts = {
      [paths.config]: "config",
      [paths.data]: "data",
      [paths.dashboards]: "dashboards",
      "/tmp": "tmp",
    } as const;
    const options = ["--homepath", "/usr/share/grafana", "--config", `${paths.config}/grafana.ini`];
    const server = stateful(this, {
      replicas: 1,
      ports,
      storage: config.storage,
      pod: {
        user,
        group,
        role: "server",
        checksums: { config: configuration.checksum, dashboards: dashboards.checksum, admin: this.admin.revision },
        init: {
          password: {
            image,
            command: ["sh", "-eu", "-c", setPassword(this.admin.key("password")), "grafana", ...options],
            env: { PASSWORD: this.admin.key("password") },
            resources: config.resources,
            mounts,
          },
        },
        containers: {
          grafana: {
            image,
            command: ["grafana", "server", ...options],
            ports,
            resources: config.resources,
            mounts,
            startup: httpProbe("/api/health", "http", { every: 2, failures: 150 }),
            readiness: httpProbe("/api/health", "http"),
            liveness: httpProbe("/api/health", "http", lenientLiveness),
          },
        },
        volumes: {
          config: { configMap: { name: configuration.name, items } },
          dashboards: configFiles(dashboards.name),
          tmp: scratch({ size: "64Mi" }),
        },
      },
    });
    service(this, { role: "server", ports, type: config.service.type, workload: server });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.http };
    this.registerOutputs({});
  }
}

/**
 * Before the server starts: makes the database, if there is none, and sets the password to what the Secret says. Not by
 * Grafana's own variable, whose value Grafana expands where it holds `$__`.
 */
const setPassword = (password: SecretKey) =>
  `
${shellPassword("PASSWORD", password)}
printf %s "$PASSWORD" | grafana cli "$@" admin reset-admin-password --password-from-stdin
`.trim();

/** Where Grafana looks for each file. It complains of a folder that is not there, so each kind has one. */
const items = [
  { key: "grafana.ini", path: "grafana.ini" },
  { key: "datasources.yaml", path: "provisioning/datasources/prometheus.yaml" },
  { key: "dashboards.yaml", path: "provisioning/dashboards/components.yaml" },
  ...["plugins", "alerting"].map((kind) => ({ key: "none.yaml", path: `provisioning/${kind}/none.yaml` })),
];

const settings = (prometheus: string) => ({
  "grafana.ini": `[paths]
data = ${paths.data}
plugins = ${paths.data}/plugins
provisioning = ${paths.config}/provisioning

[server]
http_port = ${ports.http}

[log]
mode = console

# Nothing is told to anybody outside, nor taken from there.
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false
[news]
news_feed_enabled = false
[security]
disable_gravatar = true
[plugins]
preinstall_disabled = true
`,
  "datasources.yaml": stringify({
    apiVersion: 1,
    datasources: [
      {
        name: "Prometheus",
        uid: "prometheus",
        type: "prometheus",
        access: "proxy",
        url: prometheus,
        isDefault: true,
        jsonData: { timeInterval: reading.every },
      },
    ],
  }),
  "dashboards.yaml": stringify({
    apiVersion: 1,
    providers: [{ name: "components", folder: "Data platform", type: "file", options: { path: paths.dashboards } }],
  }),
  "none.yaml": "apiVersion: 1\n",
});
