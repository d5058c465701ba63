// Proves what a stack's configuration may contain and the exact message of each refusal.
// Does not prove that a cluster accepts the rest: the cluster tests do.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../../config/problems.ts";

const refusal = (stack: string, values: Record<string, unknown>): string => {
  try {
    parseConfig(stack, values);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
};

const digest = `sha256:${"a".repeat(64)}`;

/** A mistake, and its one line of message. */
const wrong: [what: string, yaml: string, message: string][] = [
  [
    "a password in plain text",
    "redis: { auth: { password: hunter2 } }",
    "redis.auth.password: found a value that is not shown; expected no password here: leave it out and one is generated, or name a Secret that holds it in auth.existingSecret",
  ],
  [
    "an image tagged latest",
    'redis: { image: "redis:latest" }',
    'redis.image: found "redis:latest"; expected an image with a version or a commit as its tag, or a digest, such as redis:8.2.10: a tag that moves is refused',
  ],
  [
    "an image with a tag that moves",
    'minio: { image: "quay.io/minio/minio:stable" }',
    'minio.image: found "quay.io/minio/minio:stable"; expected an image with a version or a commit as its tag, or a digest, such as quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z: a tag that moves is refused',
  ],
  ...["main", "edge", "nightly", "lts-jdk17", "lts-22", "stable-alpine3.20", "bookworm", "Latest", "f2a9c1"].map(
    (tag): (typeof wrong)[number] => [
      `an image tagged ${tag}`,
      `redis: { image: "redis:${tag}" }`,
      `redis.image: found "redis:${tag}"; expected an image with a version or a commit as its tag, or a digest, such as redis:8.2.10: a tag that moves is refused`,
    ],
  ),
  [
    "a PostgreSQL by its commit alone",
    'postgresql: { image: "postgres:17ab3f2" }',
    'postgresql.image: found "postgres:17ab3f2"; expected a tag that starts with the major version, 16 to 18, such as postgres:17.12: it decides where the data is',
  ],
  [
    "annotations of an account that exists",
    'redis: { serviceAccount: { name: theirs, annotations: { "example.com/role": reader } } }',
    'redis.serviceAccount.annotations: found {"example.com/role":"reader"}; expected no annotations beside name: the account exists, so it has those that you gave it',
  ],
  [
    "an account that no object may be called",
    "monitoring: { prometheus: { serviceAccount: { name: My_Account } } }",
    'monitoring.prometheus.serviceAccount.name: found "My_Account"; expected a name of at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends and beside each dot',
  ],
  [
    "the account of pods that name none",
    "flink: { serviceAccount: { roles: { taskmanager: { name: default } } } }",
    'flink.serviceAccount.roles.taskmanager.name: found "default"; expected another account: pods that name none run as default, so what it may do, they may too',
  ],
  [
    "an account of a role without rights of its own",
    "trino: { serviceAccount: { roles: { worker: { name: theirs } } } }",
    "trino.serviceAccount.roles: unknown key; known here: name, annotations",
  ],
  [
    "an annotation of an account that the platform sets",
    'redis: { serviceAccount: { annotations: { pulumi.com/skipAwait: "true" } } }',
    'redis.serviceAccount.annotations.pulumi.com/skipAwait: found "true"; expected another key: the platform sets this one; use a prefix of your own instead',
  ],
  [
    "an image without a tag",
    "redis: { image: redis }",
    'redis.image: found "redis"; expected an image with a version or a commit as its tag, or a digest, such as redis:8.2.10: without a tag it means latest',
  ],
  [
    "an image that is none",
    'redis: { image: "https://redis" }',
    'redis.image: found "https://redis"; expected an image with a version or a commit as its tag, or a digest, such as redis:8.2.10',
  ],
  [
    "a PostgreSQL whose major version is unknown",
    'postgresql: { image: "postgres:12.4" }',
    'postgresql.image: found "postgres:12.4"; expected a tag that starts with the major version, 16 to 18, such as postgres:17.12: it decides where the data is',
  ],
  [
    "a component without one that it needs",
    "minio: { enabled: false }\nnessie: { enabled: false }\ntrino: { enabled: false }\nspark: { enabled: false }\nairflow: { enabled: false }",
    "flink.enabled: found true; expected minio.enabled: true beside it, since its checkpoints are stored there; or flink.enabled: false",
  ],
  ["a misspelt key", "minio: { replica: 4 }", "minio.replica: unknown key; did you mean replicas?"],
  [
    "an unknown component",
    "mysql: { enabled: true }",
    "mysql: unknown key; known here: global, frontDoor, namespaces, postgresql, redis, minio, nessie, kafka, schemaRegistry, clickhouse, trino, flink, spark, airflow, superset, noetl, polls, webApp, deployd, cloudnativePg, monitoring, djangoApps",
  ],
  [
    "an unknown key deep inside",
    "redis: { resources: { limits: { gpu: 1 } } }",
    "redis.resources.limits.gpu: unknown key; did you mean cpu?",
  ],
  [
    "a replica count of 0",
    "minio: { replicas: 0 }",
    "minio.replicas: found 0; expected 1, or from 4 to 16 servers: erasure coding needs four",
  ],
  [
    "two MinIO servers",
    "minio: { replicas: 2 }",
    "minio.replicas: found 2; expected 1, or from 4 to 16 servers: erasure coding needs four",
  ],
  [
    "a replica count that is text",
    'minio: { replicas: "4" }',
    'minio.replicas: found "4"; expected 1, or from 4 to 16 servers',
  ],
  [
    "a namespace name that is not one",
    "namespaces: { core: { name: My_Core } }",
    'namespaces.core.name: found "My_Core"; expected a name of at most 63 lower-case letters, digits and dashes that starts and ends with a letter or digit',
  ],
  [
    "a namespace of Kubernetes itself",
    "namespaces: { apps: { name: kube-system } }",
    'namespaces.apps.name: found "kube-system"; expected a namespace of the platform\'s own, not one of Kubernetes itself',
  ],
  [
    "one namespace for two purposes",
    "namespaces: { core: { name: data }, apps: { name: data } }",
    'namespaces.apps.name: found "data"; expected a name of its own: namespaces.core.name is the same',
  ],
  [
    "a namespace for deployments that is the platform's by default",
    "namespaces: { deployed: { name: test-core } }",
    'namespaces.deployed.name: found "test-core"; expected a name of its own: namespaces.core is named so by default',
  ],
  [
    "limits of a namespace that is someone else's",
    "namespaces: { core: { create: false, quota: { pods: 5 } } }",
    'namespaces.core.quota: found {"pods":5}; expected create: true beside it, since the stack limits only a namespace that it creates',
  ],
  [
    "a variable that the platform sets",
    "redis: { env: { PASSWORD: $(OTHER) } }",
    "redis.env.PASSWORD: found a value that is not shown; expected another variable: the platform sets this one; use redis.auth instead",
  ],
  [
    "a variable that the platform sets, of one instance of NoETL",
    "noetl: { instances: { main: { env: { NATS_URL: $(OTHER) } } } }",
    "noetl.instances.main.env.NATS_URL: found a value that is not shown; expected another variable: the platform sets this one",
  ],
  [
    "a password as a variable",
    "trino: { env: { MY_TOKEN: hunter2 } }",
    "trino.env.MY_TOKEN: found a value that is not shown; expected no password here: name a Secret's key by secretKeyRef, or a variable as $(NAME)",
  ],
  [
    "a label that selects pods",
    "kafka: { pods: { labels: { app.kubernetes.io/component: mine } } }",
    'kafka.pods.labels.app.kubernetes.io/component: found "mine"; expected another key: the platform sets this one; use a prefix of your own instead',
  ],
  [
    "a label that the component sets",
    "webApp: { pods: { roles: { flask: { labels: { role: mine } } } } }",
    'webApp.pods.roles.flask.labels.role: found "mine"; expected another key: the platform sets this one; use a prefix of your own instead',
  ],
  [
    "an annotation of the platform's",
    'global: { serviceAnnotations: { pulumi.com/skipAwait: "true" } }',
    'global.serviceAnnotations.pulumi.com/skipAwait: found "true"; expected another key: the platform sets this one; use a prefix of your own instead',
  ],
  [
    "a label that is no text",
    "minio: { pods: { labels: { billed: true } } }",
    "minio.pods.labels.billed: found true; expected a text (a number or true in quotes) of at most 63 letters, digits, dots, dashes and underscores, with a letter or digit at both ends",
  ],
  [
    "a key of a label that is none",
    'minio: { pods: { nodeSelector: { "-disk": ssd } } }',
    'minio.pods.nodeSelector.-disk: found "ssd"; expected a key such as disktype or example.com/pool: at most 63 letters, digits, dots, dashes and underscores after the prefix',
  ],
  [
    "a toleration with a value beside Exists",
    "global: { pods: { tolerations: [{ key: gpu, operator: Exists, value: a }] } }",
    'global.pods.tolerations[0].value: found "a"; expected no value beside operator: Exists, which tolerates every value',
  ],
  [
    "a toleration without a key",
    "global: { pods: { tolerations: [{ effect: NoSchedule }] } }",
    "global.pods.tolerations[0].key: found nothing; expected a taint's key, or operator: Exists without one to tolerate every taint",
  ],
  [
    "a limit on how long a taint is tolerated that evicts nothing",
    "global: { pods: { tolerations: [{ key: gpu, tolerationSeconds: 9 }] } }",
    "global.pods.tolerations[0].tolerationSeconds: found 9; expected effect: NoExecute beside it: only that one evicts pods",
  ],
  [
    "a misspelt rule of affinity",
    "global: { pods: { affinity: { nodeAfinity: {} } } }",
    "global.pods.affinity.nodeAfinity: unknown key; did you mean nodeAffinity?",
  ],
  [
    "an expression without values",
    "global: { pods: { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: disk, operator: In }] }] } } } } }",
    "global.pods.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: found []; expected values beside operator: In",
  ],
  [
    "a role that the component does not have",
    "trino: { pods: { roles: { wroker: {} } } }",
    "trino.pods.roles.wroker: unknown key; did you mean worker?",
  ],
  [
    "pods that run as root",
    "redis: { pods: { runAsUser: 0 } }",
    "redis.pods.runAsUser: found 0; expected a whole number of user ID from 1 to 2147483647",
  ],
  [
    "a grace period that follows from another key",
    "trino: { pods: { terminationGracePeriodSeconds: 5 } }",
    "trino.pods.terminationGracePeriodSeconds: found 5; expected nothing here: the platform computes it; use trino.worker.drain instead",
  ],
  [
    "a default for all of what depends on the software",
    "global: { pods: { runAsUser: 5 } }",
    "global.pods.runAsUser: unknown key; known here: nodeSelector, tolerations, affinity, labels, annotations, priorityClassName, runtimeClassName, zones",
  ],
  [
    "a memory size without a unit",
    "redis: { resources: { requests: { memory: 128 } } }",
    'redis.resources.requests.memory: found "128"; expected a size such as 512Mi, 1.5Gi or 2G, at least 1Mi: without a unit it is bytes',
  ],
  [
    "a memory limit below the request",
    "redis: { resources: { requests: { memory: 1Gi } } }",
    'redis.resources.limits.memory: found "256Mi"; expected at least resources.requests.memory, which is 1Gi',
  ],
  [
    "a CPU limit below the request",
    "redis: { resources: { limits: { cpu: 10m } } }",
    'redis.resources.limits.cpu: found "10m"; expected at least resources.requests.cpu, which is 50m',
  ],
  [
    "a CPU quantity that is none",
    "minio: { resources: { requests: { cpu: lots } } }",
    'minio.resources.requests.cpu: found "lots"; expected a CPU quantity above 0 such as 250m or 2',
  ],
  [
    "storage in a unit that Kubernetes does not know",
    "postgresql: { storage: { size: 10GB } }",
    'postgresql.storage.size: found "10GB"; expected a size such as 512Mi, 1.5Gi or 2G',
  ],
  [
    "storage of nothing",
    "postgresql: { storage: { size: 0Gi } }",
    'postgresql.storage.size: found "0Gi"; expected a size such as 512Mi, 1.5Gi or 2G, at least 1Mi: without a unit it is bytes',
  ],
  [
    "a size beyond what is counted exactly",
    "redis: { storage: { size: 9Pi } }",
    'redis.storage.size: found "9Pi"; expected a size such as 512Mi, 1.5Gi or 2G, at most 8Pi',
  ],
  [
    "a kind of Service there is none of",
    "redis: { service: { type: Ingress } }",
    'redis.service.type: found "Ingress"; expected ClusterIP, NodePort or LoadBalancer',
  ],
  [
    "a rotation that is not a number",
    "redis: { auth: { rotation: now } }",
    'redis.auth.rotation: found "now"; expected a whole number of rotations from 1 to 1000000',
  ],
  [
    "a Secret's name that is not one",
    "redis: { auth: { existingSecret: My Secret } }",
    'redis.auth.existingSecret: found "My Secret"; expected a name of at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends and beside each dot',
  ],
  ...["Sales-2026", "sales_", "1st", "d".repeat(64)].map((name): (typeof wrong)[number] => [
    `a database called ${name}`,
    `postgresql: { databases: [${name}] }`,
    `postgresql.databases[0]: found ${name.length > 60 ? `"${"d".repeat(56)}…` : `"${name}"`}; expected a database's name: a lower-case letter, then at most 62 letters, digits and underscores, not ending in one`,
  ]),
  ...["postgres", "template0", "template1", "public", "none", "pg_x"].map((name): (typeof wrong)[number] => [
    `a database called ${name}`,
    `postgresql: { databases: [sales, ${name}] }`,
    `postgresql.databases[1]: found "${name}"; expected a name that is not PostgreSQL's own: postgres, template0, template1, public, none or pg_…`,
  ]),
  ...["17.12-alpine", "17-alpine3.22", "18.1-Alpine"].map((tag): (typeof wrong)[number] => [
    `PostgreSQL on Alpine, ${tag}`,
    `postgresql: { image: "postgres:${tag}" }`,
    `postgresql.image: found "postgres:${tag}"; expected the image on Debian, such as postgres:17.12: the one on Alpine has another user and other paths`,
  ]),
  [
    "more pools than PostgreSQL takes connections",
    "superset: { web: { replicas: 8, workers: 8 } }\npostgresql: { maxConnections: 100 }",
    "postgresql.maxConnections: found 100; expected at least 638: its clients may hold 635 connections at once (superset 516, airflow 85, noetl 20, nessie 10, polls 4) and PostgreSQL keeps 3 for its superuser; or fewer servers or processes of those",
  ],
  [
    "more pools than the default number of connections",
    "djangoApps: { shop: { image: 'apps/shop:1.0.0', replicas: 4, workers: 8 } }",
    "postgresql.maxConnections: found 200; expected at least 262: its clients may hold 259 connections at once (djangoApps.shop 128, airflow 85, noetl 20, superset 12, nessie 10, polls 4) and PostgreSQL keeps 3 for its superuser; or fewer servers or processes of those",
  ],
  [
    "a volume too small for PostgreSQL",
    "postgresql: { storage: { size: 256Mi } }",
    'postgresql.storage.size: found "256Mi"; expected at least 512Mi',
  ],
  [
    "Kafka from outside of the cluster",
    "kafka: { service: { type: LoadBalancer } }",
    'kafka.service.type: found "LoadBalancer"; expected ClusterIP: brokers send clients on to their own names, which only pods of the cluster can resolve',
  ],
  [
    "a bucket's name that S3 refuses",
    "minio: { buckets: [ok-bucket, No] }",
    'minio.buckets[1]: found "No"; expected a bucket\'s name: 3 to 63 lower-case letters, digits, dots and dashes',
  ],
  [
    "a mirror with a scheme",
    'global: { imageRegistry: "https://mirror.example" }',
    'global.imageRegistry: found "https://mirror.example"; expected a registry\'s prefix without a scheme such as registry.example.com/mirror',
  ],
  [
    "a pull policy there is none of",
    "global: { imagePullPolicy: Sometimes }",
    'global.imagePullPolicy: found "Sometimes"; expected IfNotPresent, Always or Never',
  ],
  [
    "the chart of an operator that names a user, where the cluster chooses it",
    "global: { cluster: openshift }\ncloudnativePg: { enabled: true }",
    'cloudnativePg.operator: found "chart"; expected existing beside global.cluster: openshift: install the operator from OperatorHub',
  ],
  [
    "a digest that is none",
    "global: { imageDigests: { 'trinodb/trino:476': sha256:0 } }",
    'global.imageDigests."trinodb/trino:476": found "sha256:0"; expected a digest: sha256: and 64 hexadecimal digits',
  ],
  [
    "a digest of an image without a tag",
    `global: { imageDigests: { 'trinodb/trino': 'sha256:${"0".repeat(64)}' } }`,
    `global.imageDigests.trinodb/trino: found "sha256:${"0".repeat(49)}…; expected an image as it is configured, with a tag and without a digest, such as trinodb/trino:476`,
  ],
  [
    "the client of a network policy without labels",
    "global: { networkPolicies: { allowFrom: [{}] } }",
    "global.networkPolicies.allowFrom[0]: found {}; expected namespaceLabels, podLabels or both",
  ],
  [
    "a connection of an unknown component",
    "global: { networkPolicies: { connections: [{ from: airflw, to: trino }] } }",
    'global.networkPolicies.connections[0].from: found "airflw"; expected the key of a component such as airflow',
  ],
  [
    "a host name in place of addresses",
    "global: { networkPolicies: { outside: [{ from: trino, cidr: db.example.com, ports: [5432] }] } }",
    'global.networkPolicies.outside[0].cidr: found "db.example.com"; expected addresses in CIDR notation such as 10.0.0.0/8',
  ],
  [
    "a front door without certificates",
    "global: { domain: data.example.com }",
    "frontDoor.tls: found nothing; expected existingSecret or issuer: every page of global.domain is behind HTTPS",
  ],
  [
    "two sources of certificates",
    "global: { domain: data.example.com }\nfrontDoor: { tls: { existingSecret: pages, issuer: { name: letsencrypt } } }",
    'frontDoor.tls.issuer: found "letsencrypt"; expected no issuer beside tls.existingSecret',
  ],
  [
    "routes of a Gateway that is not named",
    "global: { domain: data.example.com }\nfrontDoor: { routes: httpRoute }",
    "frontDoor.gateway: found nothing; expected the Gateway's name and namespace",
  ],
  [
    "a certificate of the routes of a Gateway",
    "global: { domain: data.example.com }\nfrontDoor: { routes: httpRoute, gateway: { name: public, namespace: gateways }, tls: { existingSecret: pages } }",
    'frontDoor.tls.existingSecret: found "pages"; expected none: the Gateway\'s listener has the certificate',
  ],
  [
    "a Gateway without a domain",
    "frontDoor: { gateway: { name: public, namespace: gateways } }",
    'frontDoor.gateway: found "public"; expected global.domain beside it: without one pages have no hosts',
  ],
  [
    "a front door that network policies would open to everyone",
    "global: { domain: data.example.com, networkPolicies: { enabled: true } }\nfrontDoor: { tls: { existingSecret: pages } }",
    "frontDoor.controller: found nothing; expected the labels of the controller's namespace, or its addresses: with global.networkPolicies only it may reach the pages",
  ],
  [
    "a login without a domain",
    "frontDoor: { login: { issuer: 'https://id.example.com', existingSecret: oidc } }",
    'frontDoor.login: found "https://id.example.com"; expected global.domain beside it: without one pages have no hosts',
  ],
  [
    "an issuer that is no URL",
    "global: { domain: data.localhost, cluster: embedded }\nfrontDoor: { login: { issuer: keycloak, existingSecret: oidc } }",
    'frontDoor.login.issuer: found "keycloak"; expected the URL of an OpenID Connect issuer',
  ],
  [
    "a private authority of an issuer without a certificate",
    "global: { domain: data.localhost, cluster: embedded }\nfrontDoor: { login: { issuer: 'http://id.example.com', existingSecret: oidc, caConfigMap: oidc-ca } }",
    'frontDoor.login.caConfigMap: found "oidc-ca"; expected an https:// issuer beside it: no other one has a certificate',
  ],
  [
    "a controller of two kinds",
    "frontDoor: { controller: { cidr: 10.0.0.0/8, namespaceLabels: { a: b } } }",
    'frontDoor.controller: found {"namespaceLabels":{"a":"b"},"cidr":"10.0.0.0/8"}; expected either namespaceLabels or cidr',
  ],
  [
    "a page that has a login of its own",
    "frontDoor: { airflow: { allowWithoutLogin: true } }",
    "frontDoor.airflow: unknown key; known here: routes, className, annotations, gateway, tls, controller, login, nessie, trino, flink, spark, noetl, prometheus, alertmanager, webApp, deployd",
  ],
  [
    "a setting of PostgreSQL that has a key",
    "postgresql: { settings: { max_connections: 300 } }",
    "postgresql.settings.max_connections: found 300; expected another setting: the platform sets this one; use postgresql.maxConnections instead",
  ],
  [
    "a setting of PostgreSQL that the platform alone sets",
    "postgresql: { settings: { data_directory: /tmp } }",
    'postgresql.settings.data_directory: found "/tmp"; expected another setting: the platform sets this one',
  ],
  [
    "a setting of several lines",
    'postgresql: { settings: { work_mem: "4MB\\nport = 1" } }',
    'postgresql.settings.work_mem: found "4MB\\nport = 1"; expected a value of one line, without a backslash at its end',
  ],
  [
    "a setting that is a list",
    "postgresql: { settings: { work_mem: [4MB] } }",
    'postgresql.settings.work_mem: found ["4MB"]; expected a text, a number, true or false',
  ],
  [
    "an extension in a database that is none",
    "postgresql: { databases: [shop], extensions: { shp: [pg_trgm] } }",
    'postgresql.extensions.shp: found ["pg_trgm"]; expected one of PostgreSQL\'s databases: nessie, airflow, superset, mlflow, trino, polls, noetl, shop; or shp in postgresql.databases too',
  ],
  [
    "an extension's name that is none",
    'postgresql: { extensions: { airflow: ["pg_trgm; DROP"] } }',
    'postgresql.extensions.airflow[0]: found "pg_trgm; DROP"; expected an extension\'s name such as pg_trgm',
  ],
  [
    "a password of Redis among its settings",
    "redis: { settings: { requirepass: hunter2 } }",
    "redis.settings.requirepass: found a value that is not shown; expected another setting: the platform sets this one; use redis.auth instead",
  ],
  [
    "a setting of Kafka that follows from the number of nodes",
    "kafka: { settings: { min.insync.replicas: 2 } }",
    "kafka.settings.min.insync.replicas: found 2; expected another setting: the platform sets this one; use kafka.replicas instead",
  ],
  [
    "a topic with more copies than nodes",
    "kafka: { topics: { orders: { replication: 3 } } }",
    "kafka.topics.orders.replication: found 3; expected at most kafka.replicas, which is 1: each copy is on another node",
  ],
  [
    "a topic's retention without a unit",
    'kafka: { topics: { orders: { retention: "7" } } }',
    'kafka.topics.orders.retention: found "7"; expected minutes, hours or days such as 30m, 12h or 7d, or forever',
  ],
  [
    "a topic's retention in two places",
    "kafka: { topics: { orders: { settings: { retention.ms: 1000 } } } }",
    "kafka.topics.orders.settings.retention.ms: found 1000; expected another setting: the platform sets this one; use kafka.topics.<name>.retention instead",
  ],
  [
    "a topic of the schema registry",
    "kafka: { topics: { kafkasql-journal: {} } }",
    "kafka.topics.kafkasql-journal: found {}; expected another name: Kafka and the schema registry have topics of their own by it",
  ],
  [
    "topics larger than the volume",
    "kafka: { topics: { orders: { partitions: 12, retentionBytes: 1Gi } } }",
    'kafka.storage.size: found "10Gi"; expected at least 12Gi: kafka.topics may take that on each node by their retentionBytes, and a node stops when its volume is full',
  ],
  [
    "a catalog whose password is in plain text",
    "trino: { catalogs: { sales: { connector.name: postgresql, connection-password: hunter2 } } }",
    `trino.catalogs.sales.connection-password: found a value that is not shown; expected no password here: write \${ENV:NAME}, with the variable NAME from a Secret's key in env`,
  ],
  [
    "a catalog whose URL has a password",
    'trino: { catalogs: { sales: { connector.name: postgresql, connection-url: "jdbc:postgresql://host/db?user=me&password=hunter2" } } }',
    `trino.catalogs.sales.connection-url: found a value that is not shown; expected no password here: write \${ENV:NAME}, with the variable NAME from a Secret's key in env`,
  ],
  [
    "a catalog whose variable is nowhere",
    `trino: { catalogs: { sales: { connector.name: postgresql, connection-password: "\${ENV:SALES}" } } }`,
    `trino.catalogs.sales.connection-password: found "\${ENV:SALES}"; expected the variable SALES in trino.env, with the Secret's key that it is from`,
  ],
  [
    "a catalog without a connector",
    "trino: { catalogs: { sales: { connection-user: me } } }",
    "trino.catalogs.sales.connector.name: found nothing; expected the connector's name, such as postgresql or hive",
  ],
  [
    "an address of the platform's own catalog",
    "trino: { catalogs: { iceberg: { s3.region: eu-west-1 } } }",
    'trino.catalogs.iceberg.s3.region: found "eu-west-1"; expected another setting: the platform sets this one',
  ],
  [
    "a setting of Trino that has a key",
    "trino: { worker: { settings: { retry-policy: TASK } } }",
    'trino.worker.settings.retry-policy: found "TASK"; expected another setting: the platform sets this one; use trino.faultTolerance instead',
  ],
  [
    "a selector of a resource group that is none",
    "trino: { resourceGroups: { rootGroups: [{ name: all, hardConcurrencyLimit: 5, maxQueued: 10 }], selectors: [{ group: al }] } }",
    'trino.resourceGroups.selectors[0].group: found "al"; expected a group below one of rootGroups: all',
  ],
  [
    "an element of ClickHouse's file that the platform sets",
    "clickhouse: { settings: { logger: { log: /tmp/log } } }",
    'clickhouse.settings.logger.log: found "/tmp/log"; expected another setting: the platform sets this one',
  ],
  [
    "a password among ClickHouse's users",
    "clickhouse: { users: { users: { reader: { password: hunter2 } } } }",
    `clickhouse.users.users.reader.password: found a value that is not shown; expected no password here: write {"@from_env": NAME}, with the variable NAME from a Secret's key in env`,
  ],
  [
    "an element's name that is none",
    'clickhouse: { settings: { "a b": 1 } }',
    "clickhouse.settings.\"a b\": found 1; expected an element's name, or an attribute's after @",
  ],
  [
    "an option of Airflow that has a key",
    "airflow: { settings: { core.parallelism: 64 } }",
    "airflow.settings.core.parallelism: found 64; expected another setting: the platform sets this one; use airflow.worker.concurrency instead",
  ],
  [
    "the same option as a variable",
    'airflow: { env: { AIRFLOW__CORE__EXECUTOR: "LocalExecutor", AIRFLOW__METRICS__STATSD_ON: "True" } }',
    "airflow.env.AIRFLOW__CORE__EXECUTOR: found a value that is not shown; expected another variable: the platform sets this one\nstack test: airflow.env.AIRFLOW__METRICS__STATSD_ON: found a value that is not shown; expected another variable: the platform sets this one; use monitoring.enabled instead",
  ],
  [
    "a password among Airflow's options",
    "airflow: { settings: { smtp.smtp_password: hunter2 } }",
    "airflow.settings.smtp.smtp_password: found a value that is not shown; expected no password here: name a Secret's key for the variable AIRFLOW__SECTION__KEY in airflow.env",
  ],
  [
    "a connection with a password",
    'airflow: { connections: { shop: "postgresql://me:hunter2@host/db" } }',
    "airflow.connections.shop: found a value that is not shown; expected no password here: name a Secret's key by secretKeyRef",
  ],
  [
    "a connection with a password in JSON",
    `airflow: { connections: { shop: '{"conn_type": "http", "password": "hunter2"}' } }`,
    "airflow.connections.shop: found a value that is not shown; expected no password here: name a Secret's key by secretKeyRef",
  ],
  [
    "a connection that the platform has",
    "airflow: { connections: { minio: { secretKeyRef: { name: a, key: b } } } }",
    "airflow.connections.minio: found a value that is not shown; expected another ID: the platform has a connection by this one",
  ],
  [
    "a line of Superset's that the platform sets",
    'superset: { config: "import os\\nSECRET_KEY = os.environ[\\"X\\"]" }',
    'superset.config: found "import os\\nSECRET_KEY = os.environ[\\"X\\"]"; expected no SECRET_KEY in it: the platform sets this one',
  ],
  [
    "a password in Superset's configuration",
    'superset: { config: "SMTP_PASSWORD = \\"hunter2\\"" }',
    'superset.config: found a value that is not shown; expected no password here: write os.environ["NAME"], with the variable NAME from a Secret\'s key in superset.env',
  ],
  [
    "a variable of Nessie's settings that is nowhere",
    `nessie: { settings: { quarkus.otel.exporter.otlp.headers: "\${TOKEN}" } }`,
    `nessie.settings.quarkus.otel.exporter.otlp.headers: found "\${TOKEN}"; expected the variable TOKEN in nessie.env, with the Secret's key that it is from`,
  ],
  [
    "a variable of MinIO that says what a key says",
    "minio: { env: { MINIO_VOLUMES: /data2 } }",
    "minio.env.MINIO_VOLUMES: found a value that is not shown; expected another variable: the platform sets this one; use minio.replicas instead",
  ],
  [
    "a setting of Flink that follows from the memory limit",
    "flink: { taskManager: { settings: { taskmanager.memory.process.size: 2g } } }",
    'flink.taskManager.settings.taskmanager.memory.process.size: found "2g"; expected another setting: the platform sets this one; use flink.taskManager.resources.limits.memory instead',
  ],
  [
    "a setting of Spark that has a key",
    "spark: { settings: { spark.eventLog.enabled: true } }",
    "spark.settings.spark.eventLog.enabled: found true; expected another setting: the platform sets this one; use spark.history instead",
  ],
  [
    "a rule that is neither an alert nor a record",
    "monitoring: { rules: [{ name: own, rules: [{ expr: up }] }] }",
    "monitoring.rules[0].rules[0].alert: found nothing; expected either alert or record",
  ],
  [
    "two groups of rules of one name",
    "monitoring: { rules: [{ name: own, rules: [] }, { name: own, rules: [] }] }",
    'monitoring.rules[1].name: found "own"; expected a name of its own: another group has this one',
  ],
  [
    "an Alertmanager without a port",
    "monitoring: { prometheus: { alertmanagers: [alertmanager] } }",
    'monitoring.prometheus.alertmanagers[0]: found "alertmanager"; expected a host and a port such as alertmanager.monitoring.svc:9093',
  ],
  [
    "an Alertmanager without a configuration",
    "monitoring: { alertmanager: { enabled: true } }",
    "monitoring.alertmanager.config: found nothing; expected Alertmanager's configuration, with route and receivers: without them it sends nothing",
  ],
  [
    "an Alertmanager without receivers",
    "monitoring: { alertmanager: { config: { route: { receiver: team } } } }",
    "monitoring.alertmanager.config.receivers: found nothing; expected a list of receivers, each with a name: alerts are sent to them",
  ],
  [
    "an Alertmanager without a route",
    "monitoring: { alertmanager: { config: { receivers: [{ name: team }, { name: night }] } } }",
    "monitoring.alertmanager.config.route: found nothing; expected route.receiver, the receiver of alerts that no other route takes: one of team, night",
  ],
  [
    "a route to a receiver that is none",
    "monitoring: { alertmanager: { config: { route: { receiver: team, routes: [{ receiver: nigth }] }, receivers: [{ name: team }, { name: night }] } } }",
    'monitoring.alertmanager.config.route.routes[0].receiver: found "nigth"; expected one of receivers: team, night',
  ],
  [
    "a receiver with its password",
    "monitoring: { alertmanager: { config: { route: { receiver: team }, receivers: [{ name: team, slack_configs: [{ api_url: 'https://hooks.example.com/T0/B0/x' }] }] } } }",
    "monitoring.alertmanager.config.receivers[0].slack_configs[0].api_url: found a value that is not shown; expected no password here: use api_url_file: /etc/alertmanager/secrets/SECRET/KEY instead",
  ],
  [
    "a receiver with the key of its certificate",
    "monitoring: { alertmanager: { config: { route: { receiver: team }, receivers: [{ name: team, webhook_configs: [{ url: 'https://a.example.com', http_config: { tls_config: { key: PEM } } }] }] } } }",
    "monitoring.alertmanager.config.receivers[0].webhook_configs[0].http_config.tls_config.key: found a value that is not shown; expected no password here: use key_file: /etc/alertmanager/secrets/SECRET/KEY instead",
  ],
  [
    "a receiver with a password that no file can hold",
    "monitoring: { alertmanager: { config: { route: { receiver: team }, receivers: [{ name: team, sns_configs: [{ sigv4: { secret_key: abc } }] }] } } }",
    "monitoring.alertmanager.config.receivers[0].sns_configs[0].sigv4.secret_key: found a value that is not shown; expected no password here: Alertmanager reads this one from no file",
  ],
  [
    "a receiver with a file that no Secret has",
    "monitoring: { alertmanager: { config: { route: { receiver: team }, receivers: [{ name: team, pagerduty_configs: [{ routing_key_file: /tmp/key }] }] } } }",
    'monitoring.alertmanager.config.receivers[0].pagerduty_configs[0].routing_key_file: found "/tmp/key"; expected /etc/alertmanager/secrets/SECRET/KEY, with a Secret of the component\'s namespace and one of its keys',
  ],
  [
    "an Alertmanager to which nobody sends",
    "monitoring: { enabled: true, prometheus: { enabled: false }, grafana: { enabled: false }, alertmanager: { enabled: true, config: { route: { receiver: team }, receivers: [{ name: team }] } } }",
    "monitoring.alertmanager.enabled: found true; expected monitoring.prometheus.enabled: true beside it, since Prometheus sends the alerts; or monitoring.alertmanager.enabled: false",
  ],
  [
    "a Python package without a version",
    "global: { cluster: kind }\nairflow: { packages: [pandas] }",
    'airflow.packages[0]: found "pandas"; expected a package with its version such as pandas==2.3.3',
  ],
  [
    "a Python package of many versions",
    "global: { cluster: kind }\nairflow: { packages: [pandas==2.*] }",
    'airflow.packages[0]: found "pandas==2.*"; expected a package with its version such as pandas==2.3.3',
  ],
  [
    "a Python package that is a command",
    "global: { cluster: kind }\nairflow: { packages: ['pandas==1\"; reboot'] }",
    'airflow.packages[0]: found "pandas==1\\"; reboot"; expected a package with its version such as pandas==2.3.3',
  ],
  [
    "a Python package twice",
    "global: { cluster: kind }\nairflow: { packages: [My_Package==1, 'my-package[extra]==2'] }",
    'airflow.packages[1]: found "my-package[extra]==2"; expected one version of a package: it is listed above too',
  ],
  [
    "Airflow as a package of Airflow",
    "global: { cluster: kind }\nairflow: { packages: [apache-airflow==3.3.1] }",
    'airflow.packages[0]: found "apache-airflow==3.3.1"; expected another package: airflow.image decides the version of Airflow',
  ],
  [
    "Python packages on a cluster whose images nobody builds",
    "global: { cluster: eks }\nairflow: { packages: [pandas==2.3.3] }",
    'airflow.packages: found ["pandas==2.3.3"]; expected global.imageRegistry beside it, for the image with them (./platform images build-commands prints how to build it); or global.cluster: kind or embedded, where the platform builds it; or an image of your own in airflow.image',
  ],
  [
    "an autoscaler's range that is empty",
    "trino: { worker: { autoscale: { min: 4, max: 2 } } }",
    "trino.worker.autoscale.max: found 2; expected at least autoscale.min, which is 4",
  ],
  [
    "an autoscaler by a queue that there is none of",
    "trino: { worker: { autoscale: { min: 1, max: 2, queue: 4 } } }",
    "trino.worker.autoscale.queue: unknown key; known here: min, max, cpu",
  ],
  [
    "an autoscaler without a range",
    "flink: { taskManager: { autoscale: { max: 2 } } }",
    "flink.taskManager.autoscale.min: found nothing; expected a whole number of TaskManagers from 1 to 100",
  ],
  [
    "an addition to a catalog of a component that is not enabled",
    "clickhouse: { enabled: false }\ntrino: { catalogs: { clickhouse: { clickhouse.map-string-as-varchar: true } } }",
    'trino.catalogs.clickhouse: found {"clickhouse.map-string-as-varchar":"true"}; expected clickhouse.enabled: true beside it, since this catalog is the platform\'s; or another name',
  ],
  [
    "a setting without a name, beside one that is a number",
    'nessie: { settings: { "": 0, quarkus.http.limits.max-body-size: 10 } }',
    'nessie.settings."": found 0; expected a setting\'s name such as quarkus.log.level',
  ],
  ["a block that is a word", "redis: small", 'redis: found "small"; expected a block of keys'],
  ["an answer that is neither", "redis: { enabled: maybe }", 'redis.enabled: found "maybe"; expected true or false'],
];

/** Examples of stack files in the documentation, by their pages. Those of polls.md add to another file. */
const examples = readdirSync("docs")
  .filter((page) => page.endsWith(".md") && page !== "polls.md")
  .flatMap((page) =>
    [...readFileSync(`docs/${page}`, "utf8").matchAll(/^```yaml\n((?:config:|data-platform:)[\s\S]*?)^```$/gm)].map(
      ([, yaml = ""]) => ({ page, config: parse(yaml) as Record<string, unknown> }),
    ),
  );

it.each(examples)("an example of docs/$page is valid", ({ config }) => {
  const blocks = (config.config ?? config) as Record<string, unknown>;
  const values = Object.entries(blocks).map(([key, value]) => [key.replace("data-platform:", ""), value]);
  expect(refusal("prod", Object.fromEntries(values))).toBe("accepted");
});

describe("invalid configuration", () => {
  it.each(wrong)("%s is refused", (_, yaml, message) => {
    expect(refusal("test", parse(yaml))).toBe(`stack test: ${message}`);
  });

  it.each(["Feature_X", "eu.prod", "a".repeat(31), "-dev", "dev-", "", "kube", "kube-x", "dev\nx"])(
    "a stack called %j is refused beside all else",
    (name) => {
      const expected =
        "expected at most 30 lower-case letters, digits and dashes, with a letter or digit at both ends, and not kube first";
      expect(refusal(name, { redis: { enabled: 3 } })).toBe(
        [
          `stack ${name}: the stack's name: found ${JSON.stringify(name)}; ${expected}`,
          `stack ${name}: redis.enabled: found 3; expected true or false`,
        ].join("\n"),
      );
    },
  );

  it("is reported all at once", () => {
    const lines = refusal("dev", parse("{ redis: { imag: x, enabled: 3 }, minio: { replicas: 0 } }")).split("\n");
    expect(lines).toHaveLength(3);
    expect(lines.every((line) => line.startsWith("stack dev: "))).toBe(true);
  });

  it.each(["lots", "1.5.5Gi", "-1Gi", "1e3e3", "", "1Kib", "0x10", [1], true, "500Mi "])(
    "a quantity that is none, %j, hides no other problem",
    (quantity) => {
      const values = {
        redis: {
          resources: { requests: { memory: quantity }, limits: { cpu: quantity } },
          storage: { size: quantity },
        },
        spark: { worker: { memory: quantity } },
        flink: { jobManager: { resources: { limits: { memory: quantity } } } },
        minio: { replicas: 0 },
      };
      const lines = refusal("test", values).split("\n");
      expect(lines.map((line) => line.split(": ")[1])).toEqual([
        "redis.resources.requests.memory",
        "redis.resources.limits.cpu",
        "redis.storage.size",
        "minio.replicas",
        "flink.jobManager.resources.limits.memory",
        "spark.worker.memory",
      ]);
    },
  );

  it("in one component does not hide a problem between two", () => {
    const lines = refusal("test", parse("{ redis: { storage: { size: lots } }, kafka: { enabled: false } }")).split(
      "\n",
    );
    expect(lines.map((line) => line.split(": ")[1])).toEqual(["redis.storage.size", "schemaRegistry.enabled"]);
  });

  it("never shows a value where a password is expected", () => {
    for (const yaml of [
      "redis: { auth: hunter2 }",
      "redis: { auth: { pasword: hunter2 } }",
      "redis: { auth: { password: [hunter2] } }",
    ])
      expect(refusal("dev", parse(yaml))).not.toContain("hunter2");
  });
});

describe("valid configuration", () => {
  it.each(["dev", "test", "prod"])("the stack file of %s", (stack) => {
    const { config } = parse(readFileSync(`Pulumi.${stack}.yaml`, "utf8")) as { config: Record<string, unknown> };
    const values = Object.entries(config).map(([key, value]) => [key.replace("data-platform:", ""), value]);
    expect(refusal(stack, Object.fromEntries(values))).toBe("accepted");
  });

  it.each([
    `postgresql: { image: "postgres:18.1" }`,
    `redis: { image: "localhost:5001/library/redis:8.0.2@${digest}" }`,
    `redis: { image: "redis@${digest}" }`,
    `redis: { image: "redis:latest@${digest}" }`,
    ...[
      "3f2a9c1",
      "3f2a9c1d0b7e4f6a8c5d2e1f0a9b8c7d6e5f4a3b",
      "a3f2a9c",
      "v1.2.3-4-g3f2a9c1",
      "1.2.3-4-g3f2a9c1-dirty",
      "main-3f2a9c1",
      "sha-3f2a9c1",
      "20260917",
      "nightly-20260917",
      "edge-2026-09-17",
      "RELEASE.2025-09-07T16-13-09Z",
      "release-1.2",
      "3.3.0rc1",
      "2.3.0-java17",
      "v3.1",
    ].map((tag) => `airflow: { image: "registry.example.com:5000/data/airflow:${tag}" }`),
    'postgresql: { image: "postgres:18beta1" }',
    "redis: { resources: { requests: { cpu: 2 } } }",
    ...["1.5Gi", "512M", "2000000Ki", "536870912", "1e9", "600E6", "2147483648000m", "+1Gi", ".5Gi", "1.47Gi"].map(
      (size) =>
        `redis: { resources: { requests: { memory: 64Mi }, limits: { memory: ${size} } }, storage: { size: ${size} } }`,
    ),
    "spark: { worker: { memory: 1.5Gi, scratch: 4e9, resources: { limits: { memory: 2500M } } } }",
    "redis: { resources: { requests: { cpu: 0.5 }, limits: { cpu: 1e3 } } }",
    "redis: { resources: { requests: { cpu: 250500u }, limits: { cpu: 1500m } } }",
    "global: { imagePullSecrets: [ghcr.io], storageClass: fast.ssd.example.com }",
    `global: { imageDigests: { 'trinodb/trino:476': 'sha256:${"0".repeat(64)}' } }`,
    "global: { networkPolicies: { allowFrom: [{ namespaceLabels: { kubernetes.io/metadata.name: ingress } }], outside: [{ from: trino, cidr: 'fd00::/8', ports: [1] }] } }",
    "global: { domain: data.localhost, cluster: embedded, networkPolicies: { enabled: true } }",
    "global: { domain: data.localhost, cluster: embedded }\nfrontDoor: { routes: httpRoute, gateway: { name: public, namespace: gateways } }",
    "global: { domain: data.example.com }\nfrontDoor: { routes: httpRoute, gateway: { name: public, namespace: gateways }, trino: { allowWithoutLogin: true } }",
    "global: { domain: data.example.com, networkPolicies: { enabled: true } }\nfrontDoor: { tls: { issuer: { name: ca, kind: Issuer } }, controller: { cidr: 10.0.0.0/8 } }",
    "polls: { ingress: { host: polls.example.com, className: nginx.internal, tlsSecret: polls.example.com-tls } }",
    "redis: { auth: { existingSecret: redis.example.com }, storage: { storageClass: local.csi.example.com } }",
    "airflow: { dags: { configMap: team.dags } }",
    "airflow: { worker: { replicas: 10, concurrency: 32 } }",
    "superset: { web: { replicas: 8, workers: 8 } }\npostgresql: { maxConnections: 638 }",
    "superset: { enabled: false, web: { replicas: 8, workers: 8 } }",
    "polls: { replicas: 16, workers: 16, database: cloudnative-pg }\ncloudnativePg: { enabled: true }",
    "deployd: { tokensSecret: tokens.example.com }",
    `postgresql: { databases: [sales, a, pgx, sales_2026, ${"d".repeat(63)}] }`,
    "minio: { replicas: 4 }",
    `nessie: { env: { B: { secretKeyRef: { name: b, key: s } } }, settings: { b-key.name: "\${B}", b-key.secret: "\${B}", nessie.catalog.service.s3.buckets.b.access-key: "urn:nessie-secret:quarkus:b-key" } }`,
    "postgresql: { settings: { auto_explain.log_min_duration: 1s, shared_preload_libraries: auto_explain } }",
    "namespaces: { core: { quota: { cpu: 8, pods: 50 }, limitRange: { memory: 256Mi, cpu: 100m } } }",
  ])("%s", (yaml) => {
    expect(refusal("test", parse(yaml))).toBe("accepted");
  });

  it.each(["dev", "pr-123", "3", "kubernetes", "a".repeat(30)])("a stack called %s", (name) => {
    expect(refusal(name, {})).toBe("accepted");
  });

  it("gets the defaults, also inside a block", () => {
    const { redis } = parseConfig("dev", parse("redis: { resources: { requests: { cpu: 1 } } }"));
    expect(redis.resources).toEqual({ requests: { cpu: "1", memory: "128Mi" }, limits: { memory: "256Mi" } });
  });
});
