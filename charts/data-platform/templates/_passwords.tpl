{{/* Whether the chart can look into the cluster: not with helm template, nor in Argo CD. */}}
{{- define "data-platform.canLookUp" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" }}true{{ end -}}
{{- end }}

{{/*
A generated password: the one that its Secret has, or a new one if there is none or its rotation has changed. Without
Secrets of the chart's own: what changes with the rotation. One render gives one password, wherever it is included.
*/}}
{{- define "data-platform.password" -}}
{{- if not .Values.secrets.create }}{{ printf "%s %s" .name .rotation }}{{ else -}}
{{- if not (hasKey .Values "passwords") }}{{ $_ := set .Values "passwords" dict }}{{ end -}}
{{- if not (hasKey .Values.passwords .name) -}}
{{- $found := lookup "v1" "Secret" .namespace .secret | default dict -}}
{{- $data := get $found "data" | default dict -}}
{{- $annotations := dig "metadata" "annotations" dict $found -}}
{{- $rotation := get $annotations (printf "data-platform/rotation-%s" .key) | default .rotation -}}
{{- if and (hasKey $data .key) (eq $rotation .rotation) -}}
{{- $_ := set .Values.passwords .name (index $data .key | b64dec) -}}
{{- else -}}
{{- $_ := set .Values.passwords .name (.bytes | ternary (randBytes .length) (randAlphaNum .length)) -}}
{{- end -}}
{{- end -}}
{{- index .Values.passwords .name -}}
{{- end -}}
{{- end }}

{{- define "data-platform.password-kafka-cluster-id" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "kafka-cluster-id" "rotation" ("" | toString) "length" 16 "bytes" true "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "kafka-cluster" "key" "id") -}}
{{- end }}

{{- define "data-platform.password-airflow-fernet-key" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "airflow-fernet-key" "rotation" ("" | toString) "length" 32 "bytes" true "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "airflow-keys" "key" "fernet-key") -}}
{{- end }}

{{- define "data-platform.password-airflow-jwt-secret" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "airflow-jwt-secret" "rotation" ((toString (int64 $.Values.airflow.auth.rotation)) | toString) "length" 64 "bytes" true "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "airflow-keys" "key" "jwt-secret") -}}
{{- end }}

{{- define "data-platform.password-airflow-secret-key" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "airflow-secret-key" "rotation" ((toString (int64 $.Values.airflow.auth.rotation)) | toString) "length" 64 "bytes" true "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "airflow-keys" "key" "secret-key") -}}
{{- end }}

{{- define "data-platform.password-postgresql-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-admin" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-admin" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-nessie" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-user-nessie" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-user-nessie" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-airflow" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-user-airflow" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-user-airflow" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-superset" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-user-superset" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-user-superset" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-mlflow" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-user-mlflow" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-user-mlflow" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-trino" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-user-trino" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-user-trino" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-polls" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-user-polls" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-user-polls" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-noetl" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-user-noetl" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-user-noetl" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-name" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" (printf "postgresql-user-%v" (include "data-platform.withDashes" (list (printf "django_%v" (include "data-platform.withUnderscores" (list $name106)))))) "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" (printf "postgresql-user-%v" (include "data-platform.withDashes" (list (printf "django_%v" (include "data-platform.withUnderscores" (list $name106)))))) "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-monitoring" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "postgresql-user-monitoring" "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "postgresql-user-monitoring" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-postgresql-user-other" -}}
{{- $other111 := $.other111 -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" (printf "postgresql-user-%v" (include "data-platform.withDashes" (list $other111))) "rotation" ((toString (int64 $.Values.postgresql.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" (printf "postgresql-user-%v" (include "data-platform.withDashes" (list $other111))) "key" "password") -}}
{{- end }}

{{- define "data-platform.password-redis-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "redis-admin" "rotation" ((toString (int64 $.Values.redis.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "redis-admin" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-minio-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "minio-admin" "rotation" ((toString (int64 $.Values.minio.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "minio-admin" "key" "root-password") -}}
{{- end }}

{{- define "data-platform.password-minio-platform" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "minio-platform" "rotation" ((toString (int64 $.Values.minio.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.core.name (printf "%v-core" $.Release.Name)) "secret" "minio-platform" "key" "secret-key") -}}
{{- end }}

{{- define "data-platform.password-clickhouse-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "clickhouse-admin" "rotation" ((toString (int64 $.Values.clickhouse.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "clickhouse-admin" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-trino-internal" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "trino-internal" "rotation" ((toString (int64 $.Values.trino.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "trino-internal" "key" "shared-secret") -}}
{{- end }}

{{- define "data-platform.password-trino-drain" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "trino-drain" "rotation" ((toString (int64 $.Values.trino.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "trino-drain" "key" "user") -}}
{{- end }}

{{- define "data-platform.password-spark-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "spark-admin" "rotation" ((toString (int64 $.Values.spark.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "spark-admin" "key" "secret") -}}
{{- end }}

{{- define "data-platform.password-airflow-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "airflow-admin" "rotation" ((toString (int64 $.Values.airflow.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "airflow-admin" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-superset-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "superset-admin" "rotation" ((toString (int64 $.Values.superset.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "superset-admin" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-superset-secret-key" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "superset-secret-key" "rotation" ("1" | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "superset-secret-key" "key" "secret-key") -}}
{{- end }}

{{- define "data-platform.password-noetl-nats-user-main" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "noetl-nats-user-main" "rotation" ("1" | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "noetl-nats-user-main" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-polls-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "polls-admin" "rotation" ((toString (int64 $.Values.polls.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "polls-admin" "key" "password") -}}
{{- end }}

{{- define "data-platform.password-polls-secret-key" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "polls-secret-key" "rotation" ("1" | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "polls-secret-key" "key" "secret-key") -}}
{{- end }}

{{- define "data-platform.password-django-name-admin" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" (printf "django-%v-admin" $name106) "rotation" ((toString (int64 $value106.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" (printf "django-%v-admin" $name106) "key" "password") -}}
{{- end }}

{{- define "data-platform.password-django-name-secret-key" -}}
{{- $name106 := $.name106 -}}
{{- $value106 := $.value106 -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" (printf "django-%v-secret-key" $name106) "rotation" ("1" | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" (printf "django-%v-secret-key" $name106) "key" "secret-key") -}}
{{- end }}

{{- define "data-platform.password-app-x-secret-redis" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" (printf "app-%v-secret-redis" (coalesce $.Values.webApp.environment $.Release.Name)) "rotation" ((toString (int64 $.Values.webApp.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" (printf "app-%v-secret-redis" (coalesce $.Values.webApp.environment $.Release.Name)) "key" "password") -}}
{{- end }}

{{- define "data-platform.password-deployd-webhook" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "deployd-webhook" "rotation" ((toString (int64 $.Values.deployd.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "deployd-webhook" "key" "secret") -}}
{{- end }}

{{- define "data-platform.password-deployd-api" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "deployd-api" "rotation" ((toString (int64 $.Values.deployd.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.apps.name (printf "%v-apps" $.Release.Name)) "secret" "deployd-webhook" "key" "token") -}}
{{- end }}

{{- define "data-platform.password-grafana-admin" -}}
{{- include "data-platform.password" (dict "Values" $.Values "name" "grafana-admin" "rotation" ((toString (int64 $.Values.monitoring.grafana.auth.rotation)) | toString) "length" 32 "bytes" false "namespace" (coalesce $.Values.namespaces.monitoring.name (printf "%v-monitoring" $.Release.Name)) "secret" "grafana-admin" "key" "password") -}}
{{- end }}
