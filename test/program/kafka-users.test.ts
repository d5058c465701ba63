// Proves that with `global.separateUsers` Kafka lets nobody in without a login, which rules each user has, that passwords
// are in their clients' pods alone, and what the Job does that makes users: it adds what is missing and removes what the
// stack no longer has.
// Does not prove that Kafka enforces it: the cluster tests do.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { clientProperties, rulesOf, usersScript } from "../../components/kafka/users.ts";
import { parseConfig } from "../../config/problems.ts";
import { containersOf, type KubernetesObject, podOf } from "../../policy/rules/index.ts";
import { replacedBy } from "../../render/diff/replaces.ts";
import { seeded } from "../../render/evaluate.ts";
import { changed, type Evaluated, evaluated, named } from "./stacks.ts";

const random = seeded("a test's seed");
const users = `
global: { separateUsers: true, networkPolicies: { enabled: true } }
trino: { kafkaTopics: [orders] }
kafka:
  replicas: 3
  topics: { orders: {} }
  users:
    shop: { topics: { read: [orders], write: [orders, "payments-*"] }, groups: ["shop-*", one] }
    audit: { topics: { read: ["*"] }, groups: [audit] }`;

let program: Evaluated;
beforeAll(async () => {
  program = await evaluated("test", { changes: users, random });
});

const job = ({ objects }: Evaluated, name: string) =>
  objects.find(({ kind, metadata }) => kind === "Job" && metadata.name.startsWith(name)) as KubernetesObject;

/** The Secrets of Kafka that the pods of each component read, as variables or as files. */
function readers(): Record<string, string[]> {
  const found = new Map<string, Set<string>>();
  for (const object of program.objects) {
    const pod = podOf(object);
    if (!pod) continue;
    const variables = containersOf(pod.spec).flatMap(({ env = [] }) =>
      env.map(({ valueFrom }: { valueFrom?: { secretKeyRef?: { name: string } } }) => valueFrom?.secretKeyRef),
    );
    const volumes: { projected?: { sources: { secret?: { name: string } }[] } }[] = pod.spec.volumes ?? [];
    const sources = volumes.flatMap(({ projected }) => projected?.sources ?? []).map(({ secret }) => secret);
    for (const { name = "" } of [...variables, ...sources].filter((one) => one !== undefined))
      if (name.startsWith("kafka-"))
        found.set(name, (found.get(name) ?? new Set()).add(object.metadata.labels?.["app.kubernetes.io/name"] ?? ""));
  }
  return Object.fromEntries([...found].map(([name, components]) => [name, [...components].sort()]));
}

it("gives each password to its client alone", () => {
  expect(readers()).toEqual({
    "kafka-admin": ["kafka"],
    "kafka-cluster": ["kafka"],
    "kafka-nodes": ["kafka"],
    "kafka-user-audit": ["kafka"],
    "kafka-user-schema-registry": ["kafka", "schema-registry"],
    "kafka-user-shop": ["kafka"],
    "kafka-user-topics": ["kafka"],
    "kafka-user-trino": ["kafka", "trino"],
  });
});

it("has no listener without a login, and allows nothing that no rule does", () => {
  const settings: string = named(program, "ConfigMap", "kafka-config").data?.["server.properties"];
  const lines = settings.split("\n");
  expect(lines).toContain("listeners=CLIENTS://:9092,NODES://:9094,CONTROLLER://:9093");
  expect(lines).toContain(
    "listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,NODES:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
  );
  expect(lines).toContain("listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-512");
  expect(lines).toContain("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer");
  expect(lines).toContain("super.users=User:node;User:admin");
  expect(lines).toContain("allow.everyone.if.no.acl.found=false");
  expect(settings).not.toContain("PLAINTEXT://");
});

it("opens the nodes' port to nodes and to the Job for users alone", () => {
  const policies = program.objects.filter(({ kind }) => kind === "NetworkPolicy");
  const senders = policies
    .filter(({ spec }) => JSON.stringify(spec.egress ?? []).includes('"port":9094'))
    .map(({ spec }) => spec.podSelector.matchLabels)
    .map((labels) => `${labels["app.kubernetes.io/name"]}/${labels["app.kubernetes.io/component"]}`);
  expect(senders.sort()).toEqual(["kafka/server", "kafka/users"]);
});

it("allows each user what it needs", () => {
  const rules: string[] = named(program, "ConfigMap", "kafka-rules").data?.rules.trim().split("\n");
  const of = (user: string) =>
    rules.filter((rule) => rule.startsWith(`User:${user} * `)).map((rule) => rule.split(" ").slice(2).join(" "));
  const registry = ["kafkasql-journal", "kafkasql-snapshots", "registry-events"];
  expect(of("schema-registry").sort()).toEqual(
    [
      ...["DescribeConfigs", "Read", "Write"].flatMap((can) =>
        registry.map((topic) => `${can} TOPIC LITERAL ${topic}`),
      ),
      "Read GROUP PREFIXED apicurio-",
    ].sort(),
  );
  expect(of("trino")).toEqual(["Read TOPIC LITERAL orders", "DescribeConfigs TOPIC LITERAL orders"]);
  expect(of("topics")).toEqual([
    "Create TOPIC LITERAL *",
    "Alter TOPIC LITERAL *",
    "AlterConfigs TOPIC LITERAL *",
    "Describe CLUSTER LITERAL kafka-cluster",
  ]);
  expect(of("shop")).toEqual([
    "Read TOPIC LITERAL orders",
    "Write TOPIC LITERAL orders",
    "Write TOPIC PREFIXED payments-",
    "Read GROUP PREFIXED shop-",
    "Read GROUP LITERAL one",
    "Write TRANSACTIONAL_ID PREFIXED shop.",
  ]);
  expect(of("audit")).toEqual(["Read TOPIC LITERAL *", "Read GROUP LITERAL audit"]);
  expect(of("admin")).toEqual([]);
});

it("configures the registry, Trino and the Jobs for topics", () => {
  const registry: string = named(program, "ConfigMap", "schema-registry-config").data?.["application.properties"];
  expect(registry).toContain("\napicurio.kafka.common.sasl.mechanism=SCRAM-SHA-512\n");
  expect(registry).toMatch(/username="\$\{KAFKA_USERNAME\}" password="\$\{KAFKA_PASSWORD\}";\n/);
  const catalog: string = named(program, "ConfigMap", "trino-catalogs").data?.["kafka.properties"];
  expect(catalog).toContain("\nkafka.config.resources=/run/catalogs/kafka.properties\n");
  for (const name of ["trino-coordinator", "trino-worker"]) {
    const { volumes, containers } = named(program, "Deployment", name).spec.template.spec;
    expect(containers[0].volumeMounts).toContainEqual({ name: "secrets", mountPath: "/run/catalogs" });
    expect(volumes).toContainEqual({
      name: "secrets",
      projected: {
        sources: [
          { secret: { name: "kafka-user-trino", items: [{ key: "client.properties", path: "kafka.properties" }] } },
        ],
      },
    });
  }
  for (const name of ["kafka-topics-", "kafka-declared-topics-"]) {
    const { volumes, containers } = job(program, name).spec.template.spec;
    expect(containers[0].command.at(-1)).not.toMatch(/--bootstrap-server "\$SERVERS" (?!--command-config)/);
    expect(JSON.stringify(volumes)).toContain('"kafka-user-topics"');
  }
});

it("makes the users before anything connects", () => {
  const dependencies = (name: string) =>
    program.evaluation.resources.find((one) => one.name === name && /:(Job|Deployment)$/.test(one.type))?.options
      .dependencies ?? [];
  for (const name of ["kafka-topics", "kafka-declared-topics"])
    expect(dependencies(name).join()).toContain("kafka-users");
  expect(dependencies("schema-registry").join()).toContain("kafka-topics");
});

it("offers the administrator's Secret to ./platform credentials", () => {
  const { stringData } = named(program, "Secret", "kafka-admin");
  expect(Object.keys(stringData ?? {})).toEqual(["client.properties", "password", "username"]);
  expect(stringData?.["client.properties"]).toBe(clientProperties("admin", stringData?.password));
});

describe("a switch", () => {
  const nodes = (evaluation: Evaluated) => named(evaluation, "StatefulSet", "kafka");

  it("of the logins replaces the nodes, since those with and without refuse each other", async () => {
    const off = await evaluated("test", { changes: "kafka: { replicas: 3 }", random });
    expect(replacedBy(nodes(off), nodes(program))).toEqual(["spec.volumeClaimTemplates"]);
    expect(replacedBy(nodes(program), nodes(off))).toEqual(["spec.volumeClaimTemplates"]);
  });

  it("of the nodes' password does too", async () => {
    const after = await evaluated("test", { changes: `${users}\n  auth: { nodeRotation: 2 }`, random });
    expect(replacedBy(nodes(program), nodes(after))).toEqual(["spec.volumeClaimTemplates"]);
  });

  it("of the users' passwords leaves the nodes as they are, and changes what reads them", async () => {
    const after = await evaluated("test", { changes: `${users}\n  auth: { rotation: 2 }`, random });
    expect(changed(program, after).filter((one) => !one.startsWith("Secret "))).toEqual([
      "Deployment schema-registry",
      "Deployment trino-coordinator",
      "Deployment trino-worker",
      "Job kafka-declared-topics-#",
      "Job kafka-topics-#",
      "Job kafka-users-#",
    ]);
  });

  it("of a rule runs the Job again", async () => {
    const after = await evaluated("test", { changes: users.replace("groups: [audit]", "groups: []"), random });
    expect(changed(program, after)).toEqual(["ConfigMap kafka-rules", "Job kafka-users-#"]);
  });
});

describe("a stack's users", () => {
  const refusal = (yaml: string) => {
    try {
      parseConfig("test", parse(yaml));
    } catch (error) {
      return (error as Error).message;
    }
    return "accepted";
  };

  it.each([
    [
      "kafka: { users: { shop: {} } }",
      'kafka.users: found ["shop"]; expected global.separateUsers: true beside it, since without it Kafka has no users',
    ],
    [
      "global: { separateUsers: true }\nkafka: { users: { trino: {} } }",
      "kafka.users.trino: found {}; expected another name: admin, node, topics, schema-registry, trino are the platform's own",
    ],
    [
      'global: { separateUsers: true }\nkafka: { users: { shop: { topics: { read: ["a*b"] } } } }',
      'kafka.users.shop.topics.read[0]: found "a*b"; expected a topic\'s name of letters, digits, dots, dashes and underscores, or how it begins with * at the end',
    ],
    [
      "global: { separateUsers: true }\ntrino: { catalogs: { kafka: { kafka.config.resources: /etc/mine } } }",
      'trino.catalogs.kafka.kafka.config.resources: found "/etc/mine"; expected another setting: with global.separateUsers the platform sets this one, for the catalog\'s login',
    ],
    [
      "kafka: { settings: { super.users: me } }",
      'kafka.settings.super.users: found "me"; expected another setting: the platform sets this one; use global.separateUsers instead',
    ],
  ])("%j is refused", (yaml, message) => {
    expect(refusal(yaml)).toContain(message);
  });
});

describe("the Job's script", () => {
  const folder = mkdtempSync(join(tmpdir(), "users-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const rules = rulesOf("shop", { topics: { read: ["orders", "returns"], write: ["orders"] }, groups: ["shop-*"] });

  /** Kafka's listing of these rules: `<type> <pattern> <name> <user> <operation>`. */
  const listing = (existing: string[]) =>
    existing
      .map((line) => line.split(" "))
      .map(
        ([type, pattern, name, user, operation]) =>
          `Current ACLs for resource \`ResourcePattern(resourceType=${type}, name=${name}, patternType=${pattern})\`:\n` +
          `\t(principal=User:${user}, host=*, operation=${operation}, permissionType=ALLOW)\n`,
      )
      .join("\n");

  /** What the script calls, with these users and rules in Kafka. `failing`: a call of which fails. */
  function run(known: string[], existing: string[], failing = "nothing") {
    const log = join(folder, "log");
    writeFileSync(log, "");
    writeFileSync(join(folder, "acls"), listing(existing));
    const described = known.map(
      (name) => `SCRAM credential configs for user-principal '${name}' are SCRAM-SHA-512=iterations=4096\n`,
    );
    writeFileSync(join(folder, "known"), described.join(""));
    for (const path of ["etc/users", "etc/rules", "tmp"]) mkdirSync(join(folder, path), { recursive: true });
    for (const name of ["admin", "shop"]) writeFileSync(join(folder, "etc/users", name), `password-of-${name}`);
    writeFileSync(join(folder, "etc/rules/rules"), rules);
    for (const tool of ["kafka-acls.sh", "kafka-configs.sh"]) {
      const lines = [
        "#!/bin/sh",
        `echo ${tool} "$@" >> ${log}`,
        `case "$*" in *"${failing}"*) exit 1;; esac`,
        `case "$*" in *--list*) cat ${folder}/acls;; *--describe*) cat ${folder}/known;; esac`,
        `case "$*" in *--add-config-file*) cat ${folder}/tmp/credential >> ${log};; esac`,
      ];
      writeFileSync(join(folder, tool), `${lines.join("\n")}\n`);
      chmodSync(join(folder, tool), 0o755);
    }
    const script = usersScript
      .replaceAll(/(?<= )\/tmp\//g, `${folder}/tmp/`)
      .replaceAll("/opt/kafka/bin", folder)
      .replaceAll("/etc/kafka-users", `${folder}/etc/users`)
      .replaceAll("/etc/kafka-rules", `${folder}/etc/rules`);
    const env = { PATH: process.env.PATH, SERVERS: "kafka:9094" };
    const { status } = spawnSync("sh", ["-eu", "-c", script], { env, encoding: "utf8" });
    const login = " --bootstrap-server kafka:9094 --command-config /etc/kafka-login/client.properties";
    const calls = readFileSync(log, "utf8").trim().split("\n");
    return { status, calls: calls.map((call) => call.replace(login, "").replaceAll(folder, "")) };
  }

  const passwords = ["admin", "shop"].flatMap((name) => [
    `kafka-configs.sh --entity-type users --entity-name ${name} --alter --add-config-file /tmp/credential`,
    `SCRAM-SHA-512=password=password-of-${name}`,
  ]);
  const all = [
    "TOPIC LITERAL orders shop READ",
    "TOPIC LITERAL orders shop WRITE",
    "TOPIC LITERAL returns shop READ",
    "GROUP PREFIXED shop- shop READ",
  ];
  const allow = "--force --allow-principal User:shop --allow-host *";

  it("sets passwords and adds the rules, those of a kind together", () => {
    const { status, calls } = run([], []);
    expect(status).toBe(0);
    expect(calls.slice(0, 6)).toEqual([
      ...passwords,
      "kafka-configs.sh --entity-type users --describe",
      "kafka-acls.sh --list",
    ]);
    expect(calls.slice(6).sort()).toEqual([
      `kafka-acls.sh --add ${allow} --operation Read --operation Write --resource-pattern-type LITERAL --topic orders`,
      `kafka-acls.sh --add ${allow} --operation Read --resource-pattern-type LITERAL --topic returns`,
      `kafka-acls.sh --add ${allow} --operation Read --resource-pattern-type PREFIXED --group shop-`,
    ]);
  });

  it("changes no rule if all are there", () => {
    const { status, calls } = run(["admin", "shop"], all);
    expect(status).toBe(0);
    expect(calls.slice(4)).toEqual(["kafka-configs.sh --entity-type users --describe", "kafka-acls.sh --list"]);
  });

  it("removes users and rules that the stack does not have", () => {
    const { status, calls } = run(
      ["admin", "gone", "shop"],
      [...all, "TOPIC LITERAL * gone DESCRIBE_CONFIGS", "CLUSTER LITERAL kafka-cluster shop ALTER"],
    );
    expect(status).toBe(0);
    expect(calls).toContain(
      "kafka-configs.sh --entity-type users --entity-name gone --alter --delete-config SCRAM-SHA-512",
    );
    expect(calls.filter((call) => call.includes("--remove")).sort()).toEqual([
      "kafka-acls.sh --remove --force --allow-principal User:gone --allow-host * --operation DescribeConfigs --resource-pattern-type LITERAL --topic *",
      `kafka-acls.sh --remove ${allow} --operation Alter --resource-pattern-type LITERAL --cluster`,
    ]);
  });

  it.each(["--entity-name shop", "--describe", "--list", "--add --force", "--remove"])(
    "fails if %j does, so that it is tried again",
    (call) => {
      expect(run(["gone"], ["TOPIC LITERAL * gone READ"], call).status).not.toBe(0);
    },
  );
});
