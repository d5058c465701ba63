import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { derived, either, joined, ordinals, when, whenever } from "../../config/derived.ts";
import type { Config } from "../../config/schema.ts";
import type { ComponentArgs } from "../kit/args.ts";
import { Component, type Metrics } from "../kit/component.ts";
import { files } from "../kit/config.ts";
import type { Endpoint, KafkaConnection, KafkaLogin, WaitForTopics } from "../kit/connection.ts";
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
  secretFiles,
  type Volume,
} from "../kit/pod.ts";
import { fingerprint, password, randomKey, type SecretKey, TypedSecret } from "../kit/secret.ts";
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
  nodesPort,
  ports,
  prepareScript,
  run,
  settings,
  tooManyPartitions,
  topicFiles,
  topicsScript,
  waitForTopicsScript,
} from "./manifests.ts";
import { usualReplication } from "./schema.ts";
import {
  type Access,
  adminUser,
  type Client,
  clientFile,
  clientProperties,
  loginPath,
  nodeProperties,
  nodeSettings,
  rulesOf,
  rulesPath,
  topicsRules,
  topicsUser,
  usersPath,
  usersScript,
} from "./users.ts";

const metricsPort = 9404;
const topicsJob = "topics";
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
  /** What each client may do. With `global.separateUsers` each has a user of its own for it; otherwise nobody logs in. */
  clients: Partial<Record<Client, Access>>;
}

/** A user: its name, its password, and the settings of a Java client that logs in as it. */
type User = TypedSecret<"username" | "password" | typeof clientFile>;

/** Logins of a cluster whose clients and nodes have some. */
interface Logins {
  admin: User;
  topics: User;
  /** Users of components and of the stack, with what they may do. */
  users: Map<string, { secret: User; access: Access }>;
  /** What nodes log in to each other by. */
  nodes: TypedSecret<"server.properties" | typeof clientFile>;
}

/** Kafka in KRaft mode. Each node is broker and controller: one node, or three and more that elect a leader. */
export class Kafka extends Component {
  override readonly metrics: Metrics[];
  readonly endpoint: Endpoint;
  private readonly config: Config["kafka"];
  /** The user who may do everything. Undefined if nobody logs in. */
  readonly admin: User | undefined;
  private readonly logins: Logins | undefined;
  /** Ports of a node's container. */
  private readonly ports: Record<string, number>;
  private readonly shared: Omit<KafkaConnection, "login">;

  constructor(name: string, args: KafkaArgs, opts?: pulumi.ComponentResourceOptions) {
    const { namespace, config, topics = [] } = args;
    super("Kafka", name, namespace, config, opts);
    this.config = config;
    this.logins = namespace.global.separateUsers ? this.createLogins(args) : undefined;
    this.admin = this.logins?.admin;
    this.ports = { ...ports, ...(this.logins && { nodes: nodesPort }) };
    this.metrics = args.exporter ? [{ role: "server", port: "metrics" }] : [];
    const brokers = this.brokers(args, this.clusterId());
    const front = service(this, {
      role: "server",
      ports: { kafka: ports.kafka },
      ...exposed(this, config.service),
      workload: brokers,
    });
    this.endpoint = endpoint(this, ports.kafka);
    const servers = [brokers, front];
    const users = this.logins && this.createUsers(config, this.logins, servers);
    const ready = users ? [...servers, users] : servers;
    const own = Object.keys(config.topics).length > 0;
    const jobs = [
      whenever(topics, (names) => this.createTopics(config, names, ready)),
      own ? this.declareTopics(config, ready) : undefined,
    ].filter((job) => job !== undefined);
    this.shared = {
      bootstrapServers: this.bootstrapServers,
      replication: usualReplication(config.replicas),
      ready: jobs.length > 0 ? jobs : ready,
      ...this.serves("server", ["kafka"]),
    };
    this.registerOutputs({});
  }

  /**
   * Init container of a client that waits for some of the topics that components store data in, with the volumes that it
   * needs.
   */
  waitForTopics(topics: readonly string[], client: Client): WaitForTopics {
    const env = { JOB: this.named(topicsJob), TOPICS: topics.join(" ") };
    const user = this.logins?.users.get(client)?.secret;
    const login = user && { ...loginVolume({ [clientFile]: user.key(clientFile) }), checksums: {} };
    const script = waitForTopicsScript(this.logins !== undefined);
    const { containers, volumes } = this.toolsPod(this.config, script, env, login);
    return { container: containers.kafka, volumes };
  }

  /** Connection of a client, for pods in the component's own namespace. */
  connection(client: Client): KafkaConnection {
    const user = this.logins?.users.get(client)?.secret;
    return { ...this.shared, login: user && loginOf(user) };
  }

  private createLogins({ config, clients }: KafkaArgs): Logins {
    const { rotation, nodeRotation } = config.auth;
    const user = (name: string, suffix = `user-${name}`): User => {
      const generated = password(this, suffix, rotation);
      return TypedSecret.create(this, suffix, () => ({
        username: name,
        password: generated,
        [clientFile]: generated.apply((text) => clientProperties(name, text)),
      }));
    };
    const own = Object.entries(config.users).map(([name, access]): [string, Access] => [
      name,
      { ...access, transactionalIds: access.topics.write.length > 0 ? [`${name}.*`] : [] },
    ]);
    const generated = password(this, "nodes", nodeRotation);
    return {
      admin: user(adminUser, "admin"),
      topics: user(topicsUser),
      users: new Map(
        [...Object.entries(clients), ...own].map(([name, access]) => [name, { secret: user(name), access }]),
      ),
      nodes: TypedSecret.create(this, "nodes", () => ({
        "server.properties": generated.apply(nodeSettings),
        [clientFile]: generated.apply(nodeProperties),
      })),
    };
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
      ...settings(config, voters, this.logins !== undefined),
      ...when(exporter, () => ({ "metrics.yaml": exporterRules })),
    });
    // The volume `exporter` exists only with an exporter, so the type of the volumes' names is `string`.
    const login = this.logins && nodesLogin(this.logins);
    return stateful<string>(this, {
      replicas,
      ports: this.ports,
      storage,
      fixedReplicas: "kafka.replicas",
      // A node with a login and one without, or with another, refuse each other, and no majority would ever run.
      together: this.logins?.nodes.revision,
      // No node becomes ready before a majority runs.
      parallel: true,
      pod: {
        user,
        role: "server",
        connects: [this.serves("server", Object.keys(this.ports))],
        checksums: { config: configuration.checksum },
        // A broker moves the leadership of its partitions before it stops.
        gracePeriod: 120,
        init: {
          ...when(exporter, ({ image }) => ({ exporter: this.exporterAgent(image, resources) })),
          prepare: {
            image: this.image(config.image),
            command: ["sh", "-eu", "-c", prepareScript(login !== undefined)],
            env: { ...env, CLUSTER_ID: clusterId, VOTERS: voters, DOMAIN: domain },
            resources,
            mounts: { ...mounts, ...login?.mounts },
          },
        },
        containers: { kafka: this.broker(config, exporter, login?.mounts) },
        volumes: {
          config: configFiles(configuration.name),
          node: scratch({ size: "1Mi", memory: true }),
          tmp: scratch({ size: "64Mi" }),
          ...when(exporter, () => ({ exporter: scratch({ size: "16Mi" }) })),
          ...login?.volumes,
        },
      },
    });
  }

  private broker(
    { image, resources }: Config["kafka"],
    exporter: KafkaArgs["exporter"],
    login: Additions["mounts"] | undefined,
  ): Container<string> {
    const java = jvm(resources.limits.memory, exporter);
    const probe = ["bash", "-c", apiVersionsProbe];
    return {
      image: this.image(image),
      command: ["env", ...java, run, "kafka.Kafka", "/run/kafka/server.properties"],
      env,
      ports: { ...this.ports, ...when(exporter, () => ({ metrics: metricsPort })) },
      resources,
      mounts: { ...mounts, ...when(exporter, () => ({ "/opt/exporter": "exporter" })), ...login },
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
    const script = topicsScript(this.logins !== undefined);
    return runOnce(this, topicsJob, this.toolsPod(config, script, env, this.topicsLogin), { dependsOn });
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
    const script = declaredTopicsScript(this.logins !== undefined);
    const pod = this.toolsPod(config, script, { DECLARED: topics }, this.topicsLogin, {
      checksums: { topics: fingerprint(data) },
      mounts: { "/etc/kafka/topics": "topics" },
      volumes: { topics: configFiles(map.metadata.name) },
    });
    return runOnce(this, "declared-topics", pod, { dependsOn, retries: 6, fatalExitCode: tooManyPartitions });
  }

  /** The Job for the users and what each may do. It logs in as a node does, since the first user has to be made too. */
  private createUsers(config: Config["kafka"], logins: Logins, dependsOn: pulumi.Resource[]) {
    const { admin, topics, users } = logins;
    const all = { [adminUser]: admin, [topicsUser]: topics, ...mapped(users, ({ secret }) => secret) };
    const own = [...users].map(([name, { access }]) => rulesOf(name, access));
    const rules = files(this, "rules", { rules: [topicsRules, ...own].join("") });
    const servers = `${this.host("headless")}:${nodesPort}`;
    const pod = this.toolsPod(config, usersScript, { SERVERS: servers }, nodesLogin(logins), {
      checksums: {
        rules: rules.checksum,
        nodes: logins.nodes.revision,
        ...mapped(Object.entries(all), ({ revision }) => revision, "user-"),
      },
      mounts: { [usersPath]: "users", [rulesPath]: "rules" },
      volumes: {
        users: secretFiles(mapped(Object.entries(all), (user) => user.key("password"))),
        rules: configFiles(rules.name),
        // It holds each password while that is set.
        tmp: scratch({ size: "16Mi", memory: true }),
      },
    });
    return runOnce(this, "users", { ...pod, connects: [this.serves("server", ["nodes"])] }, { dependsOn, retries: 6 });
  }

  /** The login of the Jobs that create topics. */
  private get topicsLogin(): Additions | undefined {
    const user = this.logins?.topics;
    return user && { ...loginVolume({ [clientFile]: user.key(clientFile) }), checksums: { login: user.revision } };
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

  /** The pod of a Job that runs Kafka's command-line tools, with a login if Kafka wants one, and `own` beside it. */
  private toolsPod(
    config: Config["kafka"],
    script: string,
    variables: Record<string, string>,
    login?: Additions,
    own: Partial<Additions> = {},
  ) {
    const checksums = { ...login?.checksums, ...own.checksums };
    return {
      user,
      connects: [this.serves("server", ["kafka"])],
      ...(Object.keys(checksums).length > 0 && { checksums }),
      containers: {
        kafka: {
          image: this.image(config.image),
          command: ["sh", "-eu", "-c", script],
          env: { ...env, KAFKA_HEAP_OPTS: "-Xmx64m", SERVERS: this.bootstrapServers, ...variables },
          resources: limitedAs(config.resources, {
            requests: { cpu: "10m", memory: "128Mi" },
            limits: { memory: "256Mi" },
          }),
          mounts: { "/tmp": "tmp", ...own.mounts, ...login?.mounts },
        },
      },
      // Which volumes there are depends on what the Job does, so the type of their names is `string`.
      volumes: { tmp: scratch({ size: "64Mi" }), ...own.volumes, ...login?.volumes } as Record<string, Volume>,
    };
  }
}

/** Files that a container is given: their volumes, and what changes with them. */
interface Additions {
  mounts: Record<string, string>;
  volumes: Record<string, Volume>;
  checksums: Record<string, pulumi.Input<string>>;
}

const loginVolume = (keys: Record<string, SecretKey>) => ({
  mounts: { [loginPath]: "login" },
  volumes: { login: secretFiles(keys) },
});

/** The login of a node, and of its tools. */
const nodesLogin = ({ nodes }: Logins): Additions => ({
  ...loginVolume({ "server.properties": nodes.key("server.properties"), [clientFile]: nodes.key(clientFile) }),
  checksums: {},
});

const loginOf = (user: User): KafkaLogin => ({
  username: user.key("username"),
  password: user.key("password"),
  properties: user.key(clientFile),
  revision: user.revision,
});

const mapped = <V, W>(entries: Iterable<[string, V]>, value: (of: V) => W, prefix = ""): Record<string, W> =>
  Object.fromEntries([...entries].map(([name, of]) => [`${prefix}${name}`, value(of)]));

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
