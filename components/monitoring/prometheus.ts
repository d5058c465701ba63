import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { parseImage } from "../../config/images.ts";
import { bytes, mebibytes } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import { Component, type Metrics, type NamespaceContext } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { permissions } from "../kit/permissions.ts";
import { configFiles, httpProbe, lenientLiveness } from "../kit/pod.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";

const ports = { http: 9090 };
/** User and group `nobody` of the official image. */
const user = 65534;

/** How often Prometheus reads, and how long a pod may take to answer. */
export const reading = { every: "30s", within: "20s" };

/** Prometheus: reads what the components' pods tell of themselves, and keeps it. */
export class Prometheus extends Component {
  readonly endpoint: Endpoint;
  override readonly configKey = "monitoring.prometheus";
  override readonly metrics: Metrics[] = [{ role: "server", port: "http" }];
  /** Where Grafana asks. */
  readonly url: string;

  constructor(
    name: string,
    args: { namespace: NamespaceContext; config: Config["monitoring"]["prometheus"]; watched: Component[] },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, config } = args;
    super("Prometheus", name, namespace, parseImage(config.image)?.tag ?? "", opts);

    const watched = [...args.watched, this];
    const configuration = files(this, "config", settings(watched));
    const namespaces = [
      ...new Map(watched.map((component) => [component.namespace.key, component.namespace])).values(),
    ];
    const allowed = permissions(this, [pods], namespaces);
    const server = stateful(this, {
      replicas: 1,
      ports,
      storage: config.storage,
      pod: {
        user,
        role: "server",
        checksums: { config: configuration.checksum },
        talksToApi: "Prometheus asks for the addresses of the pods that it reads",
        // It writes what it holds in memory.
        gracePeriod: 120,
        containers: {
          prometheus: {
            image: this.image(config.image),
            command: ["/bin/prometheus"],
            args: [
              "--config.file=/etc/prometheus/prometheus.yml",
              "--storage.tsdb.path=/prometheus",
              `--storage.tsdb.retention.time=${config.retention}d`,
              // The log of the newest hours and what is being compacted lie there too.
              `--storage.tsdb.retention.size=${Math.floor(mebibytes(bytes(config.storage.size)) * 0.8)}MB`,
            ],
            ports,
            resources: config.resources,
            mounts: { "/prometheus": "data", "/etc/prometheus": "config" },
            // It first reads the log of the newest hours.
            startup: httpProbe("/-/ready", "http", { every: 2, failures: 300 }),
            readiness: httpProbe("/-/ready", "http"),
            liveness: httpProbe("/-/healthy", "http", lenientLiveness),
          },
        },
        volumes: { config: configFiles(configuration.name) },
      },
      dependsOn: allowed,
    });
    service(this, { role: "server", ports, type: config.service.type, workload: server });
    this.endpoint = { namespace: namespace.name, service: name, host: this.host(), port: ports.http };
    this.url = `http://${this.host()}:${ports.http}`;
    this.registerOutputs({});
  }
}

const pods = { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] };

const settings = (components: Component[]) => ({
  "prometheus.yml": stringify({
    global: { scrape_interval: reading.every, scrape_timeout: reading.within },
    scrape_configs: components.flatMap((component) => component.metrics.map((metrics) => scrape(component, metrics))),
  }),
});

/** one workload of a component: each of its pods is a target, found by its labels. */
function scrape(component: Component, { role, port, path, user }: Metrics) {
  const label = Object.entries(component.selector(role))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const keep = (of: string, regex: string) => ({
    source_labels: [`__meta_kubernetes_pod_${of}`],
    regex,
    action: "keep",
  });
  const say = (of: string, label: string) => ({ source_labels: [`__meta_kubernetes_${of}`], target_label: label });
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
      say("namespace", "namespace"),
      say("pod_name", "pod"),
    ],
  };
}
