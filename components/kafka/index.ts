import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { derived, either, joined, ordinals, when, whenever } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, KafkaConnection } from "../kit/connection.ts";
import { runOnce } from "../kit/job.ts";
import { share } from "../kit/jvm.ts";
import {
  type Container,
  configFiles,
  execProbe,
  lenientLiveness,
  limitedAs,
  type Resources,
  scratch,
} from "../kit/pod.ts";
import { fingerprint, randomKey, type SecretKey, TypedSecret } from "../kit/secret.ts";
import { endpoint, exposed, service } from "../kit/service.ts";
import { stateful } from "../kit/stateful.ts";
import {
  apiVersionsProbe,
  cannotFollow,
  declared,
  declaredAnnotation,
  declaredTopicsScript,
  exporterRules,
  mount,
  ports,
  prepareScript,
  run,
  settings,
  tooManyPartitions,
  topicFiles,
  topicsScript,
} from "./manifests.ts";
import { usualReplication } from "./schema.ts";

const metricsPort = 9404;
/** User and group `appuser` of the official image. */
const user = 1000;
const agent = "/opt/exporter/jmx_prometheus_javaagent.jar";
/** Kafka's scripts need a log directory, although everything is logged to the console. */
const env = { LOG_DIR: "/tmp" };
const mounts = { [mount]: "data", "/etc/kafka": "config", "/run/kafka": "node", "/tmp": "tmp" };

export interface KafkaArgs extends ComponentArgs<Config["kafka"]> {
  /** Topics that components store data in: one partition, retained for ever. Default: none. */
  topics?: readonly string[] | undefined;
  /** The JMX exporter. Default: no metrics. */
  exporter?: { image: string } | undefined;
}

/** Kafka in KRaft mode. Each node is broker and controller: one node, or three and more that elect a leader. */
export class Kafka extends Component {
  override readonly metrics: Metrics[];
  readonly endpoint: Endpoint;
  /** Connection for pods of the cluster. Kafka has no authentication. */
  readonly connection: KafkaConnection;

  constructor(name: string, args: KafkaArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, topics = [] } = args;
    super("Kafka", name, namespace, config, opts);
    this.metrics = args.exporter ? [{ role: "server", port: "metrics" }] : [];
    const brokers = this.brokers(args, this.clusterId());
    const front = service(this, {
      role: "server",
      ports: { kafka: ports.kafka },
      ...exposed(this, config.service),
      workload: brokers,
    });
    this.endpoint = endpoint(this, ports.kafka);
    const ready = [brokers, front];
    const own = Object.keys(config.topics).length > 0;
    const jobs = [
      whenever(topics, (names) => this.createTopics(config, names, ready)),
      own ? this.declareTopics(config, ready) : undefined,
    ].filter((job) => job !== undefined);
    this.connection = {
      bootstrapServers: this.bootstrapServers,
      replication: usualReplication(config.replicas),
      ready: jobs.length > 0 ? jobs : ready,
      ...this.serves("server", ["kafka"]),
    };
    this.registerOutputs({});
  }

  private get bootstrapServers(): string {
    return `${this.host()}:${ports.kafka}`;
  }

  /**
   * Created once, never rotated: nodes refuse a volume that was formatted with another id. It is no password, but the
   * state marks every random value as a secret.
   */
  private clusterId(): SecretKey {
    const id = randomKey(this, "cluster-id", 16).apply(withoutPadding);
    return TypedSecret.create(this, "cluster", () => ({ id })).key("id");
  }

  private brokers({ config, exporter }: KafkaArgs, clusterId: SecretKey) {
    const { replicas, resources, storage } = config;
    const domain = this.host("headless");
    const host = (id: number) => `${this.name}-${id}.${domain}`;
    const voters = joined(
      ordinals(replicas).map((id) => `${id}@${host(id)}:${ports.controller}`),
      ",",
    );
    const configuration = files(this, "config", {
      ...settings(config, voters),
      ...when(exporter, () => ({ "metrics.yaml": exporterRules })),
    });
    // The volume `exporter` exists only with an exporter, so the type of the volumes' names is `string`.
    return stateful<string>(this, {
      replicas,
      ports,
      storage,
      fixedReplicas: "kafka.replicas",
      // No node becomes ready before a majority runs.
      parallel: true,
      pod: {
        user,
        role: "server",
        connects: [this.serves("server", ["kafka", "controller"])],
        checksums: { config: configuration.checksum },
        // A broker moves the leadership of its partitions before it stops.
        gracePeriod: 120,
        init: {
          ...when(exporter, ({ image }) => ({ exporter: this.exporterAgent(image, resources) })),
          prepare: {
            image: this.image(config.image),
            command: ["sh", "-eu", "-c", prepareScript],
            env: { ...env, CLUSTER_ID: clusterId, VOTERS: voters, DOMAIN: domain },
            resources,
            mounts,
          },
        },
        containers: { kafka: this.broker(config, exporter) },
        volumes: {
          config: configFiles(configuration.name),
          node: scratch({ size: "1Mi", memory: true }),
          tmp: scratch({ size: "64Mi" }),
          ...when(exporter, () => ({ exporter: scratch({ size: "16Mi" }) })),
        },
      },
    });
  }

  private broker({ image, resources }: Config["kafka"], exporter: KafkaArgs["exporter"]): Container<string> {
    const java = jvm(resources.limits.memory, exporter);
    const probe = ["bash", "-c", apiVersionsProbe];
    return {
      image: this.image(image),
      command: ["env", ...java, run, "kafka.Kafka", "/run/kafka/server.properties"],
      env,
      ports: { ...ports, ...when(exporter, () => ({ metrics: metricsPort })) },
      resources,
      mounts: { ...mounts, ...when(exporter, () => ({ "/opt/exporter": "exporter" })) },
      // A broker listens after it has read its logs and joined the controllers: slow after a crash.
      startup: execProbe(probe, { every: 2, failures: 300 }),
      readiness: execProbe(probe),
      liveness: execProbe(probe, lenientLiveness),
    };
  }

  /** Init container that copies the JMX exporter's agent from its image. */
  private exporterAgent(image: string, resources: Resources): Container<string> {
    return {
      image: this.image(image),
      command: ["cp", "/jmx_prometheus_javaagent.jar", agent],
      resources,
      mounts: { "/opt/exporter": "exporter" },
    };
  }

  /** The Job for the topics that components store data in. */
  private createTopics(config: Config["kafka"], topics: readonly string[], dependsOn: pulumi.Resource[]) {
    const env = { COPIES: `${usualReplication(config.replicas)}`, TOPICS: topics.join(" ") };
    return runOnce(this, "topics", this.toolsPod(config, topicsScript, env), { dependsOn });
  }

  /** The Job for the topics that the stack names. A preview refuses what Kafka cannot do. */
  private declareTopics(config: Config["kafka"], dependsOn: pulumi.Resource[]) {
    const topics = declared(config);
    const data = topicFiles(config);
    const map = new k8s.core.v1.ConfigMap(
      this.named("declared-topics"),
      {
        metadata: { ...this.metadata("declared-topics"), annotations: { [declaredAnnotation]: topics } },
        data,
      },
      this.child({ hooks: { beforeUpdate: [this.refuseOtherTopics()] } }),
    );
    const pod = this.toolsPod(config, declaredTopicsScript, { DECLARED: topics });
    return runOnce(
      this,
      "declared-topics",
      {
        ...pod,
        checksums: { topics: fingerprint(data) },
        containers: { kafka: { ...pod.containers.kafka, mounts: { "/tmp": "tmp", "/etc/kafka/topics": "topics" } } },
        volumes: { ...pod.volumes, topics: configFiles(map.metadata.name) },
      },
      { dependsOn, retries: 6, fatalExitCode: tooManyPartitions },
    );
  }

  private refuseOtherTopics() {
    const annotation = (inputs: HookInputs): string => inputs?.metadata?.annotations?.[declaredAnnotation] ?? "";
    return new pulumi.ResourceHook(
      `${this.name}-keeps-its-topics`,
      ({ oldInputs, newInputs }) => {
        const problem = cannotFollow(annotation(oldInputs), annotation(newInputs));
        if (problem) throw new Error(`stack ${this.namespace.stack}: ${problem}`);
      },
      { onDryRun: true },
    );
  }

  /** The pod of a Job that runs Kafka's command-line tools. */
  private toolsPod(config: Config["kafka"], script: string, own: Record<string, string>) {
    return {
      user,
      connects: [this.serves("server", ["kafka"])],
      containers: {
        kafka: {
          image: this.image(config.image),
          command: ["sh", "-eu", "-c", script],
          env: { ...env, KAFKA_HEAP_OPTS: "-Xmx64m", SERVERS: this.bootstrapServers, ...own },
          resources: limitedAs(config.resources, {
            requests: { cpu: "10m", memory: "128Mi" },
            limits: { memory: "256Mi" },
          }),
          mounts: { "/tmp": "tmp" as const },
        },
      },
      volumes: { tmp: scratch({ size: "64Mi" }) },
    };
  }
}

type HookInputs = { metadata?: { annotations?: Record<string, string> } } | undefined;

const withoutPadding = derived("withoutPadding", (base64: string): string => base64.replace(/=+$/, ""));

/** Java options of the server's process alone: a command line tool in the same container must not inherit them. */
function jvm(memoryLimit: string, exporter: KafkaArgs["exporter"]): string[] {
  const heap = share(memoryLimit, 50);
  return [
    `KAFKA_HEAP_OPTS=-Xms${heap} -Xmx${heap}`,
    `KAFKA_OPTS=-XX:+ExitOnOutOfMemoryError${either(
      exporter,
      () => ` -javaagent:${agent}=${metricsPort}:/etc/kafka/metrics.yaml`,
      () => "",
    )}`,
    "KAFKA_LOG4J_OPTS=-Dlog4j2.configurationFile=/etc/kafka/log4j2.yaml",
  ];
}
