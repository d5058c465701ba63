import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { parseImage } from "../../config/images.ts";
import { bytes, mebibytes } from "../../config/quantity.ts";
import type { Config } from "../../config/schema.ts";
import { files } from "../kit/config.ts";
import type { Endpoint } from "../kit/connection.ts";
import { type Metrics, Part, type Place } from "../kit/part.ts";
import { permissions } from "../kit/permissions.ts";
import { answers, configFiles, patiently } from "../kit/pod.ts";
import { service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";

const ports = { http: 9090 };
/** User and group `nobody` of the official image. */
const user = 65534;

/** How often Prometheus reads, and how long a pod may take to answer. */
export const reading = { every: "30s", within: "20s" };

/** Prometheus: reads what the parts' pods tell of themselves, and keeps it. */
export class Prometheus extends Part {
  readonly endpoint: Endpoint;
  override readonly configKey = "monitoring.prometheus";
  override readonly metrics: Metrics[] = [{ component: "server", port: "http" }];
  /** Where Grafana asks. */
  readonly url: string;

  constructor(
    name: string,
    args: { place: Place; config: Config["monitoring"]["prometheus"]; watched: Part[] },
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { place, config } = args;
    super("Prometheus", name, place, parseImage(config.image)?.tag ?? "", opts);

    const watched = [...args.watched, this];
    const configuration = files(this, "config", settings(watched));
    const places = [...new Map(watched.map((part) => [part.place.key, part.place])).values()];
    const allowed = permissions(this, [pods], places);
    const server = stateful(this, {
      replicas: 1,
      ports,
      storage: config.storage,
      pod: {
        user,
        component: "server",
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
            startup: answers("/-/ready", "http", { every: 2, failures: 300 }),
            readiness: answers("/-/ready", "http"),
            liveness: answers("/-/healthy", "http", patiently),
          },
        },
        volumes: { config: configFiles(configuration.name) },
      },
      dependsOn: allowed,
    });
    service(this, { component: "server", ports, type: config.service.type, workload: server });
    this.endpoint = { namespace: place.namespace, service: name, host: this.host(), port: ports.http };
    this.url = `http://${this.host()}:${ports.http}`;
    this.registerOutputs({});
  }
}

const pods = { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] };

const settings = (parts: Part[]) => ({
  "prometheus.yml": stringify({
    global: { scrape_interval: reading.every, scrape_timeout: reading.within },
    scrape_configs: parts.flatMap((part) => part.metrics.map((metrics) => scrape(part, metrics))),
  }),
});

/** One component of a part: each of its pods is a target, found by its labels. */
function scrape(part: Part, { component, port, path, user }: Metrics) {
  const label = Object.entries(part.selector(component))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const keep = (of: string, regex: string) => ({
    source_labels: [`__meta_kubernetes_pod_${of}`],
    regex,
    action: "keep",
  });
  const say = (of: string, label: string) => ({ source_labels: [`__meta_kubernetes_${of}`], target_label: label });
  return {
    job_name: part.named(component),
    ...(path && { metrics_path: path }),
    ...(user && { basic_auth: { username: user } }),
    kubernetes_sd_configs: [
      { role: "pod", namespaces: { names: [part.place.namespace] }, selectors: [{ role: "pod", label }] },
    ],
    relabel_configs: [
      keep("container_port_name", port),
      keep("phase", "Running"),
      say("namespace", "namespace"),
      say("pod_name", "pod"),
    ],
  };
}
