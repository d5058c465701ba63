import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { either, itemsWhen, once, whenever } from "../../config/derived.ts";
import { mebibytesOf } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { type ConfigFiles, files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { expose, type Page, urlOf } from "../kit/ingress.ts";
import type { Connects } from "../kit/network.ts";
import { permissions } from "../kit/permissions.ts";
import { configFiles, httpProbe, lenientLiveness } from "../kit/pod.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import type { AlertmanagerConnection } from "./alertmanager.ts";

const ports = { http: 9090 };
/** User and group `nobody` of the official image. */
const user = 65534;

const page: Page = { role: "server", withoutLogin: "prometheus" };

/** Scrape interval and timeout. */
export const scraping = { every: "30s", within: "20s" };

/** Prometheus' HTTP API. */
export interface PrometheusConnection extends Connects {
  /** URL inside the Kubernetes cluster. */
  url: string;
}
type Rules = Config["monitoring"]["rules"];

/** What Prometheus needs from the platform. */
export interface PrometheusArgs extends ComponentArgs<Config["monitoring"]["prometheus"]> {
  /** The components to scrape, as their `metrics` say. */
  watched: Component[];
  /** The stack's groups of alerting and recording rules. */
  rules: Rules;
  /** The platform's Alertmanager. Default: alerts go to those of the configuration alone. */
  alertmanager?: AlertmanagerConnection | undefined;
}

/** Prometheus: scrapes the components' pods, and itself. */
export class Prometheus extends Component {
  override readonly configKey = "monitoring.prometheus";
  override readonly metrics: Metrics[] = [{ role: "server", port: "http" }];
  readonly endpoint: Endpoint;
  /** For Grafana. */
  readonly connection: PrometheusConnection;

  constructor(name: string, args: PrometheusArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, alertmanager } = args;
    super("Prometheus", name, namespace, config, opts);

    const watched = [...args.watched, this];
    const alertmanagers = [...(alertmanager ? [alertmanager.address] : []), ...config.alertmanagers];
    const configuration = files(this, "config", settings(watched, alertmanagers, args.rules));
    const targets = [
      ...watched.flatMap((one) =>
        one.metrics.map(({ role, port, source = true }) =>
          // The outer condition is the one that the connection has: a component with another source exists if Prometheus does.
          whenever(source, () => whenever(one, () => one.serves(role, [port]))),
        ),
      ),
      ...(alertmanager ? [alertmanager] : []),
    ];
    const server = this.server(config, configuration, targets, this.allowed(watched));
    const reached = exposed(this, config.service);
    expose(this, page, service(this, { role: "server", ports, ...reached, workload: server }));

    this.endpoint = endpoint(this, ports.http);
    this.connection = { url: `http://${this.host()}:${ports.http}`, ...this.serves("server", ["http"]) };
    this.registerOutputs({});
  }

  /** Grants reading of pods in each namespace of a component. */
  private allowed(components: Component[]): pulumi.Resource[] {
    const roles = new Map<string, () => pulumi.Resource[]>();
    return components.flatMap((component) => {
      const { namespace } = component;
      const role = roles.get(namespace.key) ?? once(() => permissions(this, [pods], [namespace]));
      roles.set(namespace.key, role);
      return whenever(component, role) ?? [];
    });
  }

  private server(
    config: PrometheusArgs["config"],
    configuration: ConfigFiles,
    targets: (Connects | undefined)[],
    dependsOn: pulumi.Resource[],
  ) {
    return stateful(this, {
      replicas: 1,
      ports,
      storage: config.storage,
      pod: {
        user,
        role: "server",
        checksums: { config: configuration.checksum },
        connects: targets,
        talksToApi: "Prometheus asks for the addresses of the pods that it reads",
        // On SIGTERM it flushes what it has in memory.
        gracePeriod: 120,
        containers: {
          prometheus: {
            image: this.image(config.image),
            command: ["/bin/prometheus"],
            args: options(config, urlOf(this, page)),
            ports,
            resources: config.resources,
            mounts: { "/prometheus": "data", "/etc/prometheus": "config" },
            // A start replays the write-ahead log.
            startup: httpProbe("/-/ready", "http", { every: 2, failures: 300 }),
            readiness: httpProbe("/-/ready", "http"),
            liveness: httpProbe("/-/healthy", "http", lenientLiveness),
          },
        },
        volumes: { config: configFiles(configuration.name) },
      },
      dependsOn,
    });
  }
}

const options = ({ retention, storage }: PrometheusArgs["config"], page: string): string[] => [
  "--config.file=/etc/prometheus/prometheus.yml",
  "--storage.tsdb.path=/prometheus",
  `--storage.tsdb.retention.time=${retention}d`,
  ...itemsWhen(page, () => [`--web.external-url=${page}/`]),
  // 80 % of the volume, as Prometheus' manual advises: compaction needs room, and only complete blocks are deleted.
  `--storage.tsdb.retention.size=${mebibytesOf(storage.size, 80)}MB`,
];

/** Service discovery needs to read pods. */
const pods = { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] };

/** `prometheus.yml`, and a file with the stack's rules. Prometheus reads `$` in labels and annotations as its own. */
const settings = (components: Component[], alertmanagers: string[], rules: Rules) => ({
  "prometheus.yml": `${stringify({
    global: { scrape_interval: scraping.every, scrape_timeout: scraping.within },
    ...(rules.length > 0 && { rule_files: ["/etc/prometheus/rules.yml"] }),
    ...(alertmanagers.length > 0 && { alerting: { alertmanagers: alertmanagers.map(alertmanager) } }),
  })}scrape_configs:
${components
  .map((component) =>
    either(
      component,
      () =>
        component.metrics
          .map((metrics) =>
            either(
              metrics.source ?? true,
              () => item(scrape(component, metrics)),
              () => "",
            ),
          )
          .join(""),
      () => "",
    ),
  )
  .join("")}`,
  ...(rules.length > 0 && { "rules.yml": stringify({ groups: rules }) }),
});

const alertmanager = (address: string) => {
  const [target = "", scheme] = address.split("://").reverse();
  return { ...(scheme && { scheme }), static_configs: [{ targets: [target] }] };
};

/** An item of a list in YAML, as part of a block. */
const item = (value: object): string => stringify({ list: [value] }).replace("list:\n", "");

/** The scrape job of one workload. Its targets are the workload's pods, selected by their labels. */
function scrape(component: Component, { role, port, path, user }: Metrics) {
  const label = Object.entries(component.selector(role))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const keep = (of: string, regex: string) => ({
    source_labels: [`__meta_kubernetes_pod_${of}`],
    regex,
    action: "keep",
  });
  const copy = (of: string, label: string) => ({ source_labels: [`__meta_kubernetes_${of}`], target_label: label });
  return {
    job_name: component.named(role),
    ...(path && { metrics_path: path }),
    ...(user && { basic_auth: { username: user } }),
    kubernetes_sd_configs: [
      { role: "pod", namespaces: { names: [component.namespace.name] }, selectors: [{ role: "pod", label }] },
    ],
    relabel_configs: [
      keep("container_port_name", port),
      keep("phase", "Running"),
      copy("namespace", "namespace"),
      copy("pod_name", "pod"),
    ],
  };
}
