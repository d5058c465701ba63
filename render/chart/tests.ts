/*
 * `helm test`: a pod for each component, whose client asks it for something. Written by hand, as names and notes are:
 * the program has no such pods.
 */

export const testFunctions = `{{/* Name of a namespace, by its key. */}}
{{- define "data-platform.namespaceOf" -}}
{{- $root := index . 0 -}}
{{- (index $root.Values.namespaces (index . 1)).name | default (printf "%s-%s" $root.Release.Name (index . 1)) -}}
{{- end }}

{{/* A pod that tests one component: name, key of its namespace, image, user, command, and variables from Secrets. */}}
{{- define "data-platform.testPod" -}}
{{- $root := .root -}}
---
apiVersion: v1
kind: Pod
metadata:
  name: test-{{ .name }}
  namespace: {{ include "data-platform.namespaceOf" (list $root .namespace) }}
  labels:
    app.kubernetes.io/name: test-{{ .name }}
    app.kubernetes.io/component: helm-test
    app.kubernetes.io/instance: {{ $root.Release.Name }}
    app.kubernetes.io/part-of: data-platform
    app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  annotations:
    "helm.sh/hook": test
    "helm.sh/hook-delete-policy": before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 300
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ .user }}
    runAsGroup: {{ .user }}
    fsGroup: {{ .user }}
    seccompProfile: { type: RuntimeDefault }
  {{- with $root.Values.global.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  containers:
    - name: client
      image: {{ include "data-platform.mirrored" (list .image $root.Values.global.imageRegistry) }}
      imagePullPolicy: {{ $root.Values.global.imagePullPolicy }}
      command: {{ .command | toJson }}
      env:
        - { name: HOME, value: /tmp }
        {{- range $name, $from := .secrets }}
        - name: {{ $name }}
          valueFrom: { secretKeyRef: { name: {{ first $from }}, key: {{ last $from }} } }
        {{- end }}
      resources:
        requests: { cpu: 10m, memory: 64Mi, ephemeral-storage: 16Mi }
        limits: { cpu: "1", memory: 512Mi, ephemeral-storage: 128Mi }
      volumeMounts:
        - { name: tmp, mountPath: /tmp }
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
  volumes:
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
{{ end }}

{{/* A pod that expects status 200 from a URL: name, Service, port and path. Bash of PostgreSQL's image asks, as any user. */}}
{{- define "data-platform.testHttp" -}}
{{- $host := printf "%s.%s.svc" .service (include "data-platform.namespaceOf" (list .root .namespace)) -}}
{{- $script := printf "exec 3<>/dev/tcp/%s/%v && printf 'GET %s HTTP/1.0\\\\r\\\\nHost: %s\\\\r\\\\n\\\\r\\\\n' >&3 && IFS= read -r status <&3 && echo \\"$status\\" && [[ $status == *' 200 '* ]]" $host .port .path $host -}}
{{- include "data-platform.testPod" (dict "root" .root "name" .name "namespace" .namespace "image" .root.Values.postgresql.image "user" 10001 "command" (list "timeout" "60" "bash" "-c" $script) "secrets" dict) -}}
{{- end }}
`;

/** Components whose API answers a GET with 200: condition, name, namespace, Service or an operand, port, path. */
const http: [condition: string, name: string, namespace: string, service: string, port: number, path: string][] = [
  ["$.Values.minio.enabled", "minio", "core", "minio", 9000, "/minio/health/cluster/read"],
  ["$.Values.nessie.enabled", "nessie", "core", "nessie", 19120, "/iceberg/v1/config"],
  ["$.Values.schemaRegistry.enabled", "schema-registry", "apps", "schema-registry", 8085, "/apis/ccompat/v7/subjects"],
  ["$.Values.clickhouse.enabled", "clickhouse-http", "apps", "clickhouse", 8123, "/ping"],
  ["$.Values.flink.enabled", "flink", "apps", "flink", 8081, "/overview"],
  ["$.Values.spark.enabled", "spark", "apps", "spark", 8080, "/json/"],
  ["$.Values.airflow.enabled", "airflow", "apps", "airflow", 8080, "/api/v2/monitor/health"],
  ["$.Values.superset.enabled", "superset", "apps", "superset", 8088, "/health"],
  ["$.Values.noetl.enabled", "noetl", "apps", "noetl", 8082, "/api/health"],
  ["$.Values.polls.enabled", "polls", "apps", "polls", 8000, "/healthz"],
  ["$.Values.trino.enabled", "trino", "apps", "trino", 8080, "/v1/info"],
  [
    "$.Values.webApp.enabled",
    "web-app",
    "apps",
    '(printf "app-%s-service-flask" ($.Values.webApp.environment | default $.Release.Name))',
    5000,
    "/healthz",
  ],
  ["$.Values.deployd.enabled", "deployd", "apps", "deployd", 8080, "/readyz"],
  [
    "(and $.Values.monitoring.enabled $.Values.monitoring.prometheus.enabled)",
    "prometheus",
    "monitoring",
    "prometheus",
    9090,
    "/-/ready",
  ],
  [
    "(and $.Values.monitoring.enabled $.Values.monitoring.prometheus.enabled $.Values.monitoring.grafana.enabled)",
    "grafana",
    "monitoring",
    "grafana",
    3000,
    "/api/health",
  ],
];

/** Components with a client of their own: condition, name, namespace, image, user, command, variables from Secrets. */
const clients: {
  key: string;
  namespace: string;
  user: number;
  script: string;
  secrets: Record<string, [secret: string, key: string]>;
}[] = [
  {
    key: "postgresql",
    namespace: "core",
    user: 999,
    script:
      "PGCONNECT_TIMEOUT=30 psql --host postgresql --username postgres --no-password --tuples-only --command 'SELECT version()'",
    secrets: { PGPASSWORD: ["postgresql-admin", "password"] },
  },
  {
    key: "redis",
    namespace: "core",
    user: 999,
    script: 'test "$(redis-cli -h redis --no-auth-warning ping)" = PONG',
    secrets: { REDISCLI_AUTH: ["redis-admin", "password"] },
  },
  {
    key: "kafka",
    namespace: "apps",
    user: 1000,
    script: "LOG_DIR=/tmp KAFKA_HEAP_OPTS=-Xmx128m /opt/kafka/bin/kafka-topics.sh --bootstrap-server kafka:9092 --list",
    secrets: {},
  },
];

/**
 * Lets the pods above connect while they run. No connection of the program leads to the servers from them, so that network
 * policies would deny theirs.
 */
const policies = `{{- if $.Values.global.networkPolicies.enabled }}
{{- range $key := ternary (list "core" "apps" "monitoring") (list "core" "apps") $.Values.monitoring.enabled }}
{{- range $direction := list "ingress" "egress" }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: test-{{ $direction }}
  namespace: {{ include "data-platform.namespaceOf" (list $ $key) }}
  labels:
    app.kubernetes.io/name: test-{{ $direction }}
    app.kubernetes.io/instance: {{ $.Release.Name }}
    app.kubernetes.io/part-of: data-platform
    app.kubernetes.io/managed-by: {{ $.Release.Service }}
  annotations:
    "helm.sh/hook": test
    "helm.sh/hook-weight": "-1"
    "helm.sh/hook-delete-policy": before-hook-creation,hook-succeeded
spec:
  {{- $clients := dict "matchLabels" (dict "app.kubernetes.io/component" "helm-test" "app.kubernetes.io/instance" $.Release.Name) }}
  {{- if eq $direction "ingress" }}
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector: {{ $clients | toJson }}
  {{- else }}
  podSelector: {{ $clients | toJson }}
  policyTypes: [Egress]
  egress: [{}]
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
`;

export const clientTests = `${policies}${clients
  .map(({ key, namespace, user, script, secrets }) => {
    const all = Object.entries(secrets).map(
      ([variable, [secret, field]]) =>
        `"${variable}" (list ($.Values.${key}.auth.existingSecret | default "${secret}") "${field}")`,
    );
    return `{{- if $.Values.${key}.enabled }}
{{ include "data-platform.testPod" (dict "root" $ "name" "${key}" "namespace" "${namespace}" "image" $.Values.${key}.image "user" ${user} "command" (list "sh" "-eu" "-c" ${JSON.stringify(script)}) "secrets" (dict ${all.join(" ")})) }}
{{- end }}`;
  })
  .join("\n")}
{{- if $.Values.postgresql.enabled }}
${http
  .map(
    ([condition, name, namespace, service, port, path]) => `{{- if ${condition} }}
{{ include "data-platform.testHttp" (dict "root" $ "name" "${name}" "namespace" "${namespace}" "service" ${service.startsWith("(") ? service : JSON.stringify(service)} "port" ${port} "path" "${path}") }}
{{- end }}`,
  )
  .join("\n")}
{{- end }}
`;
