import type * as pulumi from "@pulumi/pulumi";
import type { Config } from "../../config/schema.ts";
import type { Access } from "../kafka/users.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, KafkaConnection, WaitForTopics } from "../kit/connection.ts";
import { deployment } from "../kit/deployment.ts";
import { share } from "../kit/jvm.ts";
import { configFiles, drain, httpProbe, lenientLiveness, scratch } from "../kit/pod.ts";
import { endpoint, exposed, service } from "../kit/service.ts";

const ports = { http: 8085, management: 9000 };
/** User and group of the official image. */
const user = 1000;

/**
 * The registry's storage. Kafka's component creates these topics: if several registries start at once and create them,
 * one may never become ready.
 */
const topics = { journal: "kafkasql-journal", snapshots: "kafkasql-snapshots", events: "registry-events" };
export const registryTopics = Object.values(topics);
/** What it needs in Kafka. It checks the settings of its topics, and each server is alone in a group of its own. */
export const registryAccess: Access = {
  topics: { read: registryTopics, write: registryTopics, settings: registryTopics },
  groups: ["apicurio-*"],
};

export interface SchemaRegistryArgs extends ComponentArgs<Config["schemaRegistry"]> {
  /** Kafka with `registryTopics`. */
  kafka: KafkaConnection;
  /** Init container that waits for these topics: a registry that starts without them never becomes ready, nor exits. */
  waitForTopics: WaitForTopics;
}

/** Apicurio Registry with its storage in Kafka. It serves the API of Confluent's registry under `/apis/ccompat/v7`. */
export class SchemaRegistry extends Component {
  override readonly metrics: Metrics[] = [{ role: "server", port: "management" }];
  readonly endpoint: Endpoint;

  constructor(name: string, args: SchemaRegistryArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config } = args;
    super("SchemaRegistry", name, namespace, config, opts);
    const server = this.server(args);
    service(this, { role: "server", ports, ...exposed(this, config.service), workload: server });
    this.endpoint = endpoint(this, ports.http);
    this.registerOutputs({});
  }

  private server({ config, kafka, waitForTopics }: SchemaRegistryArgs) {
    const configuration = files(this, "config", settings(kafka));
    const heap = share(config.resources.limits.memory, 45);
    return deployment<string>(this, {
      replicas: config.replicas,
      waitsForJob: true,
      pod: {
        user,
        role: "server",
        connects: [kafka],
        checksums: { config: configuration.checksum, ...(kafka.login && { kafka: kafka.login.revision }) },
        init: { "wait-for-topics": waitForTopics.container },
        containers: {
          registry: {
            image: this.image(config.image),
            // Quarkus reads config/ of the working directory.
            command: ["sh", "-c", 'cd /deployments && exec java "$@"', "registry"],
            args: [`-Xms${heap}`, `-Xmx${heap}`, "-XX:+ExitOnOutOfMemoryError", "-jar", "quarkus-run.jar"],
            env: {
              HOME: "/tmp",
              ...(kafka.login && { KAFKA_USERNAME: kafka.login.username, KAFKA_PASSWORD: kafka.login.password }),
            },
            ports,
            resources: config.resources,
            mounts: { "/deployments/config": "config", "/tmp": "tmp" },
            // Ready after it has read the whole journal from Kafka.
            startup: httpProbe("/health/ready", "management", { every: 2, failures: 300 }),
            readiness: httpProbe("/health/ready", "management"),
            liveness: httpProbe("/health/live", "management", lenientLiveness),
            preStop: drain,
          },
        },
        volumes: {
          ...waitForTopics.volumes,
          config: configFiles(configuration.name),
          tmp: scratch({ size: "256Mi" }),
        },
      },
      dependsOn: kafka.ready,
    });
  }
}

/** Quarkus puts the variables' values into the text. */
const login = `apicurio.kafka.common.security.protocol=SASL_PLAINTEXT
apicurio.kafka.common.sasl.mechanism=SCRAM-SHA-512
apicurio.kafka.common.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="\${KAFKA_USERNAME}" password="\${KAFKA_PASSWORD}";
`;

const settings = ({ bootstrapServers, login: user }: KafkaConnection) => ({
  "application.properties": `quarkus.http.port=${ports.http}
quarkus.management.port=${ports.management}

apicurio.storage.kind=kafkasql
apicurio.kafkasql.bootstrap.servers=${bootstrapServers}
apicurio.kafkasql.topic=${topics.journal}
apicurio.kafkasql.snapshots.topic=${topics.snapshots}
apicurio.events.kafka.topic=${topics.events}
apicurio.kafkasql.topic.auto-create=false
${user ? login : ""}
# The default of Confluent's registry. Apicurio's default accepts any schema.
apicurio.rules.global.compatibility=BACKWARD
`,
});
