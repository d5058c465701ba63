import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { either } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component } from "../kit/component.ts";
import { type ConfigFiles, files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { expose, type Page, urlOf } from "../kit/ingress.ts";
import { shellPassword } from "../kit/password.ts";
import { configFiles, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { credentials, password, type SecretKey, type TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import { type PrometheusConnection, scraping } from "./prometheus.ts";

const ports = { http: 3000 };
/** User and group of the official image. */
const [user, group] = [472, 0];
const page: Page = { role: "server" };
const paths = { config: "/etc/grafana", data: "/var/lib/grafana", dashboards: "/etc/dashboards" };

const options = ["--homepath", "/usr/share/grafana", "--config", `${paths.config}/grafana.ini`];

/** What Grafana needs from the platform. */
export interface GrafanaArgs extends ComponentArgs<Config["monitoring"]["grafana"]> {
  prometheus: PrometheusConnection;
  /** The ConfigMap of the dashboards' JSON files. */
  dashboards: ConfigFiles;
}

/** Grafana, with Prometheus as its data source and a dashboard for each component. */
export class Grafana extends Component {
  override readonly configKey = "monitoring.grafana";
  readonly endpoint: Endpoint;
  /** The password of the user `admin`. */
  readonly admin: TypedSecret<"password">;

  constructor(name: string, args: GrafanaArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, prometheus, dashboards } = args;
    super("Grafana", name, namespace, config, opts);

    this.admin = credentials(this, "admin", config.auth, () => ({
      password: password(this, "admin", config.auth.rotation),
    }));
    const configuration = files(this, "config", settings(prometheus.url, urlOf(this, page)));
    const server = this.server(config, configuration, dashboards, prometheus);
    const reached = exposed(this, config.service);
    expose(this, page, service(this, { role: "server", ports, ...reached, workload: server }));

    this.endpoint = endpoint(this, ports.http);
    this.registerOutputs({});
  }

  private server(
    config: GrafanaArgs["config"],
    configuration: ConfigFiles,
    dashboards: ConfigFiles,
    prometheus: PrometheusConnection,
  ) {
    const container = {
      image: this.image(config.image),
      resources: config.resources,
      mounts: {
        [paths.config]: "config",
        [paths.data]: "data",
        [paths.dashboards]: "dashboards",
        "/tmp": "tmp",
      },
    } as const;
    return stateful(this, {
      replicas: 1,
      ports,
      storage: config.storage,
      pod: {
        user,
        group,
        role: "server",
        connects: [prometheus],
        checksums: { config: configuration.checksum, dashboards: dashboards.checksum, admin: this.admin.revision },
        init: {
          password: {
            ...container,
            command: ["sh", "-eu", "-c", setPassword(this.admin.key("password")), "grafana", ...options],
            env: { PASSWORD: this.admin.key("password") },
          },
        },
        containers: {
          grafana: {
            ...container,
            command: ["grafana", "server", ...options],
            ports,
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
  }
}

/**
 * Shell: creates the database if it does not exist, and sets the password of `admin` to the Secret's. The environment
 * variable GF_SECURITY_ADMIN_PASSWORD does not fit: Grafana expands `$__` in its value, and ignores it later on.
 */
const setPassword = (password: SecretKey) =>
  `
${shellPassword("PASSWORD", password)}
printf %s "$PASSWORD" | grafana cli "$@" admin reset-admin-password --password-from-stdin
`.trim();

/** Where Grafana looks for each file. It logs an error for a missing provisioning folder, so every kind has one. */
const items = [
  { key: "grafana.ini", path: "grafana.ini" },
  { key: "datasources.yaml", path: "provisioning/datasources/prometheus.yaml" },
  { key: "dashboards.yaml", path: "provisioning/dashboards/components.yaml" },
  ...["plugins", "alerting"].map((kind) => ({ key: "none.yaml", path: `provisioning/${kind}/none.yaml` })),
];

const settings = (prometheus: string, page: string) => ({
  "grafana.ini": `[paths]
data = ${paths.data}
plugins = ${paths.data}/plugins
provisioning = ${paths.config}/provisioning

[server]
http_port = ${ports.http}
${either(
  page,
  () => `root_url = ${page}/\n`,
  () => "",
)}
[log]
mode = console

# No usage reports, no checks for updates, no content from outside.
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false
[news]
news_feed_enabled = false
[security]
${either(
  page,
  () => "# Browsers send it by HTTPS alone.\ncookie_secure = true\n",
  () => "",
)}disable_gravatar = true
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
        jsonData: { timeInterval: scraping.every },
      },
    ],
  }),
  "dashboards.yaml": stringify({
    apiVersion: 1,
    providers: [{ name: "components", folder: "Data platform", type: "file", options: { path: paths.dashboards } }],
  }),
  "none.yaml": "apiVersion: 1\n",
});
