{{/* Name of a namespace, by its key. */}}
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
{{- $script := printf "exec 3<>/dev/tcp/%s/%v && printf 'GET %s HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n' >&3 && IFS= read -r status <&3 && echo \"$status\" && [[ $status == *' 200 '* ]]" $host .port .path $host -}}
{{- include "data-platform.testPod" (dict "root" .root "name" .name "namespace" .namespace "image" .root.Values.postgresql.image "user" 10001 "command" (list "timeout" "60" "bash" "-c" $script) "secrets" dict) -}}
{{- end }}
