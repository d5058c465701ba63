/*
 * Users of Kafka, with `global.separateUsers`: how they log in, what they may do, and the script of the Job that makes
 * them. Pure functions.
 */

/** What a user may do. A name that ends in `*` stands for all that begin with what is before it. */
export interface Access {
  topics: {
    read: readonly string[];
    write: readonly string[];
    /** Topics whose settings it reads. Default: none. */
    settings?: readonly string[];
  };
  /** Consumer groups that it may be in. */
  groups: readonly string[];
  /** Transactional ids that it may use. Default: none. */
  transactionalIds?: readonly string[];
}

/** Components that are clients, by the names of their users. */
export const clients = ["schema-registry", "trino"] as const;
export type Client = (typeof clients)[number];

/** Who may do everything, by SCRAM. */
export const adminUser = "admin";
/** The nodes among themselves, and the Job that makes the users, by PLAIN: no node needs to know the other users for it. */
export const nodeUser = "node";
/** The Jobs that create topics. */
export const topicsUser = "topics";

/** Names that the users of a stack cannot have. */
export const takenNames: readonly string[] = [adminUser, nodeUser, topicsUser, ...clients];

/** Path of the volume with the files by which a pod's tools log in, and a node to the others. */
export const loginPath = "/etc/kafka-login";
/** The file of such a volume that tools and Java clients read. Key of each user's Secret. */
export const clientFile = "client.properties";
export const usersPath = "/etc/kafka-users";
export const rulesPath = "/etc/kafka-rules";

const security = "org.apache.kafka.common.security";

/** Settings of a Java client that logs in by SCRAM. Generated passwords are letters and digits, so nothing is escaped. */
export const clientProperties = (user: string, password: string): string => `security.protocol=SASL_PLAINTEXT
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=${security}.scram.ScramLoginModule required username="${user}" password="${password}";
`;

/** The start of a node's login to the others. */
const nodeLogin = (password: string): string =>
  `${security}.plain.PlainLoginModule required username="${nodeUser}" password="${password}"`;

/** Lines of `server.properties` by which nodes log in to each other. */
export function nodeSettings(password: string): string {
  const login = `${nodeLogin(password)} user_${nodeUser}="${password}";`;
  return `listener.name.nodes.plain.sasl.jaas.config=${login}
listener.name.controller.plain.sasl.jaas.config=${login}
`;
}

/** Settings of a tool that logs in to a node as another node. */
export const nodeProperties = (password: string): string => `security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=${nodeLogin(password)};
`;

/** The nodes' settings with logins: of listeners, and of who may do what. */
export const loginSettings = `listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,NODES:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=${security}.scram.ScramLoginModule required;
listener.name.nodes.sasl.enabled.mechanisms=PLAIN
listener.name.controller.sasl.enabled.mechanisms=PLAIN
inter.broker.listener.name=NODES
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:${nodeUser};User:${adminUser}
allow.everyone.if.no.acl.found=false
`;

/** One rule as the Job reads it: `User:<name> <host> <operation> <type of resource> <pattern> <resource>`. */
const rule = (user: string, operation: string, type: string, pattern: string, resource: string) =>
  `User:${user} * ${operation} ${type} ${pattern} ${resource}\n`;

/** Rules of a user, one a line. Who may read or write something may also describe it. */
export function rulesOf(user: string, { topics, groups, transactionalIds = [] }: Access): string {
  const rules = (operation: string, type: string, names: readonly string[]) =>
    names.map((name) =>
      name !== "*" && name.endsWith("*")
        ? rule(user, operation, type, "PREFIXED", name.slice(0, -1))
        : rule(user, operation, type, "LITERAL", name),
    );
  const all = [
    ...rules("Read", "TOPIC", topics.read),
    ...rules("Write", "TOPIC", topics.write),
    ...rules("DescribeConfigs", "TOPIC", topics.settings ?? []),
    ...rules("Read", "GROUP", groups),
    ...rules("Write", "TRANSACTIONAL_ID", transactionalIds),
  ];
  return [...new Set(all)].join("");
}

/** Rules of the Jobs that create topics: they read and write no message. To describe a topic, tools ask for its moves too. */
export const topicsRules = [
  ...["Create", "Alter", "AlterConfigs"].map((operation) => rule(topicsUser, operation, "TOPIC", "LITERAL", "*")),
  rule(topicsUser, "Describe", "CLUSTER", "LITERAL", "kafka-cluster"),
].join("");

/**
 * Job: makes the users, each with the password in the file of its name, and the rules. Removes users and rules that the
 * stack does not have: what someone may no longer do must end. A second run changes no rule and starts few tools, each of
 * which is a Java process: rules that differ in the operation or the resource alone are added together.
 */
export const usersScript = `
set -f
# Tools that run for a second need no optimising compiler.
export KAFKA_JVM_PERFORMANCE_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
tool() { script="$1"; shift; /opt/kafka/bin/"$script".sh --bootstrap-server "$SERVERS" --command-config ${loginPath}/${clientFile} "$@"; }
users() { tool kafka-configs --entity-type users "$@"; }

for name in $(ls ${usersPath}); do
  # From a file: as an argument every process could read it.
  printf 'SCRAM-SHA-512=password=%s\\n' "$(cat "${usersPath}/$name")" > /tmp/credential
  users --entity-name "$name" --alter --add-config-file /tmp/credential
  rm /tmp/credential
done
found="$(users --describe)"
for name in $(printf '%s\\n' "$found" | sed -n "s/^SCRAM credential configs for user-principal '\\(.*\\)' are .*SCRAM-SHA-512.*/\\1/p"); do
  if [ ! -e "${usersPath}/$name" ]; then
    echo "$name: not in the stack, so it is removed"
    users --entity-name "$name" --alter --delete-config SCRAM-SHA-512
  fi
done

tool kafka-acls --list > /tmp/found
awk -F '[=,)]' '
  function pascal(text, words, count, i, joined) {
    count = split(text, words, "_")
    joined = ""
    for (i = 1; i <= count; i++) joined = joined toupper(substr(words[i], 1, 1)) tolower(substr(words[i], 2))
    return joined
  }
  /^Current ACLs/ { type = $2; name = $4; pattern = $6 }
  /permissionType=ALLOW/ { print $2, $4, pascal($6), type, pattern, name }
' /tmp/found > /tmp/existing
# The lines of the second file that the first does not have.
more() { awk -v first="$1" 'FILENAME == first { known[$0]; next } !($0 in known)' "$1" "$2"; }
# Operations on one resource, then resources with the same operations.
grouped() {
  awk '
    { one = $1 " " $2 " " $4 " " $5 " " $6; operations[one] = operations[one] " --operation " $3 }
    END {
      for (one in operations) {
        split(one, field, " ")
        group = field[1] " " field[2] " " field[3] " " field[4] "|" operations[one]
        names[group] = names[group] " " field[5]
      }
      for (group in names) print group "|" names[group]
    }'
}
change() {
  while IFS="|" read -r subject operations names; do
    set -- $subject
    principal="$1" host="$2" type="$3" pattern="$4"
    case "$type" in
      TOPIC) option=--topic ;;
      GROUP) option=--group ;;
      TRANSACTIONAL_ID) option=--transactional-id ;;
      DELEGATION_TOKEN) option=--delegation-token ;;
      USER) option=--user-principal ;;
      CLUSTER) option=--cluster ;;
    esac
    set --
    for name in $names; do
      if [ "$option" = --cluster ]; then set -- "$@" --cluster; else set -- "$@" "$option" "$name"; fi
    done
    echo "$verb: $principal from $host: $operations: $pattern$names"
    # The loop reads its own lines: the tool must not.
    tool kafka-acls "--$verb" --force --allow-principal "$principal" --allow-host "$host" $operations \\
      --resource-pattern-type "$pattern" "$@" < /dev/null > /dev/null
  done
}
verb=add
more /tmp/existing ${rulesPath}/rules | grouped | change
verb=remove
more ${rulesPath}/rules /tmp/existing | grouped | change
echo "users and rules are those of the stack"
`.trim();
