{{/* Name of a namespace, by its key. */}}
{{- define "data-platform.namespaceOf" -}}
{{- $root := index . 0 -}}
{{- (index $root.Values.namespaces (index . 1)).name | default (printf "%s-%s" $root.Release.Name (index . 1)) -}}
{{- end }}

{{/* A pod that tests one component: name, key of its namespace, image, command, and variables from Secrets. */}}
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
    runAsUser: {{ .user | default 1000 }}
    runAsGroup: {{ .user | default 1000 }}
    fsGroup: {{ .user | default 1000 }}
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
        requests: { cpu: 10m, memory: 64Mi }
        limits: { memory: 512Mi }
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

{{/* A pod that expects status 200 from a URL: name, Service, port and path. Bash of PostgreSQL's image asks. */}}
{{- define "data-platform.testHttp" -}}
{{- $host := printf "%s.%s.svc" .service (include "data-platform.namespaceOf" (list .root .namespace)) -}}
{{- $script := printf "exec 3<>/dev/tcp/%s/%v && printf 'GET %s HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n' >&3 && IFS= read -r status <&3 && echo \"$status\" && [[ $status == *' 200 '* ]]" $host .port .path $host -}}
{{- include "data-platform.testPod" (dict "root" .root "name" .name "namespace" .namespace "image" .root.Values.postgresql.image "user" 999 "command" (list "timeout" "60" "bash" "-c" $script) "secrets" dict) -}}
{{- end }}
